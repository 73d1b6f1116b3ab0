data "aws_region" "this" {}

locals {
  load_balancer = { LoadBalancer = var.load_balancer_arn_suffix }
  targets       = { LoadBalancer = var.load_balancer_arn_suffix, TargetGroup = var.target_group_arn_suffix }

  alarms = {
    "server-errors" = {
      description = "Servers answer with 5xx. Their logs say why; if it is S3, there is an alarm of that as well."
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = local.targets
      statistic   = "Sum", comparison = "GreaterThanThreshold", threshold = var.thresholds.server_errors, periods = 1
    }
    "no-server" = {
      description = "The load balancer itself answers with 5xx: it finds no server, or servers do not answer in time."
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = local.load_balancer
      statistic   = "Sum", comparison = "GreaterThanThreshold", threshold = var.thresholds.server_errors, periods = 1
    }
    "latency" = {
      description = "Answers are slow. The end of a push of a very large layer is, lawfully; if it is all of them, look at CPU and at S3."
      namespace   = "AWS/ApplicationELB", metric = "TargetResponseTime", dimensions = local.targets
      statistic   = "p99", comparison = "GreaterThanThreshold", threshold = var.thresholds.latency_seconds, periods = 3
    }
    "unhealthy" = {
      description = "An instance is not ready and was not replaced for a quarter of an hour. What stopped it is on its console and, for one that did not start, below registrykit/v1/boot/ in the bucket. After three in a row the group launches no more until the next terraform apply."
      namespace   = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = local.targets
      statistic   = "Maximum", comparison = "GreaterThanThreshold", threshold = 0, periods = 3
    }
    "too-few" = {
      description = "Fewer instances are ready than there shall be."
      namespace   = "AWS/ApplicationELB", metric = "HealthyHostCount", dimensions = local.targets
      statistic   = "Minimum", comparison = "LessThanThreshold", threshold = var.thresholds.instances, periods = 3
    }
    "certificate" = {
      description = "The certificate ends soon and was not renewed. ACM renews what it issued as long as the validation record is in DNS; an imported one has to be imported again."
      namespace   = "AWS/CertificateManager", metric = "DaysToExpiry", dimensions = { CertificateArn = var.certificate_arn }
      statistic   = "Minimum", comparison = "LessThanThreshold", threshold = var.thresholds.certificate_days, periods = 1
    }
    "s3-errors" = {
      description = "S3 refuses or fails requests to the bucket."
      namespace   = "AWS/S3", metric = "5xxErrors", dimensions = { BucketName = var.bucket, FilterId = "all" }
      statistic   = "Sum", comparison = "GreaterThanThreshold", threshold = var.thresholds.s3_errors, periods = 1
    }
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
  tags              = var.tags
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

# S3 counts errors only for those who ask it to.
resource "aws_s3_bucket_metric" "all" {
  bucket = var.bucket
  name   = "all"
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching" # nobody pulls at night
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}

# A disk that fills up is seen in the group's own logs; images are in S3.
resource "aws_cloudwatch_log_group" "servers" {
  count = var.logs ? 1 : 0

  name              = "/registry/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

# Servers log in JSON: what is an error there is one here.
resource "aws_cloudwatch_log_metric_filter" "errors" {
  count = var.logs ? 1 : 0

  name           = "${var.name}-errors"
  log_group_name = aws_cloudwatch_log_group.servers[0].name
  pattern        = "{ $.level = \"ERROR\" }"

  metric_transformation {
    namespace     = "Registry"
    name          = "${var.name}-errors"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for n, w in [
      { title = "Requests", metrics = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.load_balancer_arn_suffix]], stat = "Sum" },
      { title = "Answers by status", metrics = [for c in ["2XX", "3XX", "4XX", "5XX"] : ["AWS/ApplicationELB", "HTTPCode_Target_${c}_Count", "LoadBalancer", var.load_balancer_arn_suffix]], stat = "Sum" },
      { title = "Time to the first byte", metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.load_balancer_arn_suffix]], stat = "p99" },
      { title = "Instances", metrics = [for m in ["HealthyHostCount", "UnHealthyHostCount"] : ["AWS/ApplicationELB", m, "TargetGroup", var.target_group_arn_suffix, "LoadBalancer", var.load_balancer_arn_suffix]], stat = "Maximum" },
      { title = "CPU", metrics = [["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", var.group_name]], stat = "Average" },
      { title = "Bytes in the bucket", metrics = [["AWS/S3", "BucketSizeBytes", "BucketName", var.bucket, "StorageType", "StandardStorage"]], stat = "Average" },
      ] : {
      type   = "metric"
      x      = n % 2 * 12
      y      = floor(n / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = w.title
        region  = data.aws_region.this.id
        metrics = w.metrics
        stat    = w.stat
        period  = w.title == "Bytes in the bucket" ? 86400 : 60
        view    = "timeSeries"
      }
    }]
  })
}
