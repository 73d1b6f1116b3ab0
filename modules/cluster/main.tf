data "aws_region" "this" {}

data "aws_partition" "this" {}

data "aws_caller_identity" "this" {}

data "aws_ec2_instance_type" "this" {
  for_each = toset(var.capacity.instance_types)

  instance_type = each.value
}

data "aws_ami" "this" {
  for_each = var.image.ami_ids

  include_deprecated = true

  filter {
    name   = "image-id"
    values = [each.value]
  }
}

locals {
  # Of each type, the first architecture that there is an image for.
  architecture = {
    for name, type in data.aws_ec2_instance_type.this :
    name => try([for a in type.supported_architectures : a if contains(keys(var.image.ami_ids), a)][0], null)
  }
  preferred = local.architecture[var.capacity.instance_types[0]]
  group     = var.name

  # On-demand instances at most: a refresh starts as many as there are, up to twice the least.
  most_instances = var.capacity.spot ? 2 * var.capacity.on_demand : max(var.capacity.max, 2 * var.capacity.min)
  most_vcpus     = local.most_instances * max(values(data.aws_ec2_instance_type.this)[*].default_vcpus...)

  hooks = { launch = "${var.name}-ready", terminate = "${var.name}-drained" }

  # What belongs to running as one of a group, beside what the caller says.
  config = merge(var.config, {
    aws = merge(try(var.config.aws, {}), {
      region = data.aws_region.this.id
      autoscaling = {
        group         = local.group
        launchhook    = local.hooks.launch
        terminatehook = local.hooks.terminate
      }
      bootreport    = true
      bootparameter = aws_ssm_parameter.boot.name
    })
  })

  # Reports of failed starts: in the bucket, where the server has its own records.
  s3 = try(var.config.storage.s3, {})
  boot_reports = {
    bucket    = split(":::", var.bucket.arn)[1]
    region    = try(local.s3.region, data.aws_region.this.id)
    prefix    = trimprefix("${trim(try(local.s3.rootdirectory, ""), "/")}/registrykit/v1/boot/", "/")
    parameter = aws_ssm_parameter.boot.name
  }
}

data "aws_servicequotas_service_quota" "vcpus" {
  count = var.capacity.check_quota ? 1 : 0

  service_code = "ec2"
  quota_code   = "L-1216C47A" # "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", in vCPUs
}

# A new account may run as few as one or two instances. Nothing but a launch fails for that, so a plan says it. It asks outside of the check:
# a question inside one waits for all that is applied, also for what needs this module.
check "quota" {
  assert {
    condition     = alltrue([for q in data.aws_servicequotas_service_quota.vcpus : q.value >= local.most_vcpus])
    error_message = <<-EOT
      This group may need ${local.most_vcpus} vCPUs of on-demand instances at once, a refresh included, and the account's quota in ${data.aws_region.this.id} is ${join("", data.aws_servicequotas_service_quota.vcpus[*].value)}, for all that runs there. Ask for more:
      aws service-quotas request-service-quota-increase --region ${data.aws_region.this.id} --service-code ec2 --quota-code L-1216C47A --desired-value ${max(local.most_vcpus, 32)}
      or lower capacity.max, or name smaller capacity.instance_types.
    EOT
  }
}

# Where the bucket is what failed, the newest reason is here.
resource "aws_ssm_parameter" "boot" {
  name        = "/registry/${var.name}/boot"
  description = "Why the newest instance of ${var.name} that could not use the bucket did not start"
  type        = "String"
  value       = "none"
  tags        = var.tags

  lifecycle {
    ignore_changes = [value] # instances write it
  }
}

module "user_data" {
  source   = "../user_data"
  for_each = var.image.ami_ids

  config  = local.config
  install = try(merge(var.image.install[each.key], { region = coalesce(var.image.install[each.key].region, data.aws_region.this.id) }), null)
  failures = {
    bucket   = local.boot_reports.bucket
    region   = local.boot_reports.region
    prefix   = local.boot_reports.prefix
    endpoint = try(local.s3.regionendpoint, null)
    group    = { name = local.group, launch_hook = local.hooks.launch }
  }
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "Instances of the registry ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = var.name })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  security_group_id            = aws_security_group.this.id
  description                  = "The load balancer"
  referenced_security_group_id = var.load_balancer.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.load_balancer.port
  to_port                      = var.load_balancer.port
  tags                         = var.tags
}

# The load balancer sends to instances, and to nothing else.
resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  security_group_id            = var.load_balancer.security_group_id
  description                  = "Instances of ${var.name}"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = var.load_balancer.port
  to_port                      = var.load_balancer.port
  tags                         = var.tags
}

# AWS, Redis, upstreams and updates. What can be reached at all is for the routes of the subnets.
resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.this.id
  description       = "AWS, other registries and updates"
  cidr_ipv4         = "0.0.0.0/0" #trivy:ignore:AVD-AWS-0104 the routes of the subnets bound it, and AWS has no list of all its addresses
  ip_protocol       = "-1"
  tags              = var.tags
}

resource "aws_launch_template" "this" {
  for_each = var.image.ami_ids

  name_prefix   = "${var.name}-${each.key}-"
  description   = "Registry ${var.name} on ${each.key}"
  image_id      = each.value
  user_data     = module.user_data[each.key].base64
  ebs_optimized = true
  tags          = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  # Only programs on the instance itself get the role's credentials, and only by version 2.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = var.public_addresses
    security_groups             = [aws_security_group.this.id]
    delete_on_termination       = true
  }

  block_device_mappings {
    device_name = data.aws_ami.this[each.key].root_device_name

    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_volume_gib
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = var.name })
    }
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = data.aws_ami.this[each.key].architecture == each.key
      error_message = "The AMI ${each.value} is of the architecture ${data.aws_ami.this[each.key].architecture}, and image.ami_ids gives it for ${each.key}. Name it there, or give another AMI."
    }
  }
}

resource "aws_autoscaling_group" "this" {
  name                      = local.group
  min_size                  = var.capacity.min
  max_size                  = var.capacity.max # desired_capacity is left to scaling
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = [var.load_balancer.target_group_arn]
  health_check_type         = "ELB"
  health_check_grace_period = 120
  default_instance_warmup   = 60
  wait_for_capacity_timeout = "${var.capacity.wait_minutes}m"
  wait_for_elb_capacity     = var.capacity.min
  # After three instances in a row that did not start, the third suspends launches. That is drift, and an apply lets the group launch again.
  suspended_processes = []

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = var.capacity.spot ? var.capacity.on_demand : null
      on_demand_percentage_above_base_capacity = var.capacity.spot ? 0 : 100
      on_demand_allocation_strategy            = "prioritized"
      spot_allocation_strategy                 = "price-capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.this[local.preferred].id
        version            = aws_launch_template.this[local.preferred].latest_version
      }

      dynamic "override" {
        for_each = var.capacity.instance_types

        content {
          instance_type = override.value

          launch_template_specification {
            launch_template_id = aws_launch_template.this[local.architecture[override.value]].id
            version            = aws_launch_template.this[local.architecture[override.value]].latest_version
          }
        }
      }
    }
  }

  # An instance counts once its server is ready, and leaves once its server has drained; the server says so itself.
  initial_lifecycle_hook {
    name                 = local.hooks.launch
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    default_result       = "ABANDON"
    heartbeat_timeout    = 600
  }

  initial_lifecycle_hook {
    name                 = local.hooks.terminate
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    default_result       = "CONTINUE"
    heartbeat_timeout    = var.drain_seconds + 60
  }

  # A new version of the launch template replaces all instances, each new one before an old one goes.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 200
      instance_warmup        = 60
      auto_rollback          = true
      skip_matching          = true
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = var.name })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template does that
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]

    precondition {
      condition     = alltrue([for a in values(local.architecture) : a != null])
      error_message = "There is no AMI for the instance type ${join(", ", [for type, a in local.architecture : type if a == null])}: its architecture is not in image.ami_ids."
    }
  }

  # Instances start with all rights they need, and have them to the end.
  depends_on = [aws_iam_role_policy.this, aws_vpc_security_group_ingress_rule.load_balancer, aws_vpc_security_group_egress_rule.load_balancer, aws_vpc_security_group_egress_rule.all]
}

resource "aws_autoscaling_policy" "cpu" {
  name                   = "${var.name}-cpu"
  autoscaling_group_name = aws_autoscaling_group.this.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.capacity.cpu_percent

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

resource "aws_autoscaling_policy" "requests" {
  name                   = "${var.name}-requests"
  autoscaling_group_name = aws_autoscaling_group.this.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.capacity.requests_per_target

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = var.load_balancer.resource_label
    }
  }
}
