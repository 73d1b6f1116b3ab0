mock_provider "aws" {
  source = "../testing"
}

variables {
  name                     = "images"
  load_balancer_arn_suffix = "app/any/0123456789abcdef"
  target_group_arn_suffix  = "targetgroup/any/0123456789abcdef"
  group_name               = "images"
  certificate_arn          = "arn:aws:acm:eu-west-1:123456789012:certificate/0123"
  bucket                   = "images"
}

run "alarms" {
  variables {
    emails     = ["ops@example.com"]
    thresholds = { certificate_days = 20 }
  }

  assert {
    condition     = length(output.alarm_names) == 7 && alltrue([for a in aws_cloudwatch_metric_alarm.this : a.alarm_actions == toset([output.topic_arn])])
    error_message = "Each alarm tells the topic."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["certificate"].threshold == 20 && aws_cloudwatch_metric_alarm.this["latency"].extended_statistic == "p99"
    error_message = "Thresholds can be set one by one."
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 6
    error_message = "The dashboard has six graphs."
  }
}

run "odd_retention" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}
