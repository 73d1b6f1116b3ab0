mock_provider "aws" {
  source = "../testing"
}

variables {
  name       = "images"
  vpc_id     = "vpc-1"
  subnet_ids = ["subnet-1", "subnet-2"]
  image      = { ami_ids = { arm64 = "ami-0123456789abcdef0" } }
  config     = { version = "0.1", aws = { secrets = { http = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:http" } } }
  bucket     = { arn = "arn:aws:s3:::images" }
  load_balancer = {
    target_group_arn  = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/any/0123456789abcdef"
    security_group_id = "sg-1"
    resource_label    = "app/any/0123456789abcdef/targetgroup/any/0123456789abcdef"
  }
}

run "shipped_image" {
  assert {
    condition = (aws_launch_template.this["arm64"].metadata_options[0].http_tokens == "required" && aws_launch_template.this["arm64"].metadata_options[0].http_put_response_hop_limit == 1
    && aws_launch_template.this["arm64"].block_device_mappings[0].ebs[0].encrypted == "true" && aws_launch_template.this["arm64"].key_name == null)
    error_message = "Credentials stay on the instance, its disk is encrypted, and nobody logs in."
  }
  assert {
    condition     = aws_autoscaling_group.this.mixed_instances_policy[0].launch_template[0].launch_template_specification[0].version == "3"
    error_message = "The version of the launch template is a number, so that a new one starts a refresh."
  }
  assert {
    condition     = aws_autoscaling_group.this.instance_refresh[0].preferences[0].min_healthy_percentage == 100
    error_message = "A refresh takes no capacity away."
  }
  assert {
    condition     = yamldecode(yamlencode(local.config)).aws.autoscaling.terminatehook == "images-drained" && can(local.config.aws.secrets.http)
    error_message = "The server is told of its group: ${jsonencode(local.config)}."
  }
  assert {
    condition     = output.boot_reports == { bucket = "images", region = "eu-west-1", prefix = "registrykit/v1/boot/", parameter = "/registry/images/boot" } && local.config.aws.bootparameter == output.boot_reports.parameter
    error_message = "Reports of failed starts are at ${jsonencode(output.boot_reports)}."
  }
  assert {
    condition     = strcontains(output.user_data["arm64"], "AutoScalingGroupName=images") && strcontains(output.user_data["arm64"], "LifecycleHookName=images-ready") && strcontains(output.user_data["arm64"], "https://images.s3.eu-west-1.amazonaws.com")
    error_message = "An instance that fails tells its group:\n${output.user_data["arm64"]}"
  }
  assert {
    condition     = length(aws_autoscaling_group.this.suspended_processes) == 0
    error_message = "An apply lets the group launch again."
  }
  assert {
    condition     = !strcontains(output.user_data["arm64"], "registry-install")
    error_message = "The shipped image has the server."
  }
}

run "folder_of_a_bucket" {
  variables {
    config = { storage = { s3 = { bucket = "images", region = "eu-north-1", rootdirectory = "/team/", regionendpoint = "http://10.0.0.7:9000" } } }
  }

  assert {
    condition     = output.boot_reports.prefix == "team/registrykit/v1/boot/" && output.boot_reports.region == "eu-north-1" && strcontains(output.user_data["arm64"], "http://10.0.0.7:9000/images")
    error_message = "Reports lie where the server's records do: ${jsonencode(output.boot_reports)}."
  }
}

run "stock_image" {
  variables {
    image = {
      ami_ids = { arm64 = "ami-0123456789abcdef0" }
      install = { arm64 = { bucket = "programs", key = "registryserver-arm64", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
    }
  }

  assert {
    condition     = strcontains(output.user_data["arm64"], "https://programs.s3.eu-west-1.amazonaws.com/registryserver-arm64") && strcontains(output.user_data["arm64"], "sha256sum --check")
    error_message = "The program is fetched and verified:\n${output.user_data["arm64"]}"
  }
}

run "programs_in_a_folder" {
  variables {
    image = {
      ami_ids = { arm64 = "ami-0123456789abcdef0" }
      install = { arm64 = { bucket = "programs", key = "programs/registryserver-arm64", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
    }
  }

  assert {
    condition     = [for s in data.aws_iam_policy_document.this.statement : s.resources if s.sid == "Program"] == [toset(["arn:aws:s3:::programs/programs/*"])]
    error_message = "A refresh that is rolled back can fetch the program before: ${jsonencode([for s in data.aws_iam_policy_document.this.statement : s.resources if s.sid == "Program"])}."
  }
}

run "wrong_architecture" {
  command = plan

  variables {
    image = { ami_ids = { x86_64 = "ami-0123456789abcdef0" } }
  }

  expect_failures = [aws_launch_template.this]
}

run "no_room_for_a_refresh" {
  command = plan

  variables {
    capacity = { min = 2, max = 2 }
  }

  expect_failures = [var.capacity]
}

run "more_than_the_account_may_run" {
  command = plan

  variables {
    capacity = { max = 17 }
  }

  expect_failures = [check.quota]
}

run "spot_instances_have_a_quota_of_their_own" {
  command = plan

  variables {
    capacity = { max = 17, spot = true }
  }
}
