data "aws_region" "this" {}

data "aws_partition" "this" {}

data "aws_subnets" "default" {
  count = var.subnet_id == null ? 1 : 0

  filter {
    name   = "default-for-az"
    values = ["true"]
  }

  lifecycle {
    postcondition {
      condition     = length(self.ids) > 0
      error_message = "This region has no default VPC. Give the subnet_id of a public subnet."
    }
  }
}

data "aws_subnet" "this" {
  id = coalesce(var.subnet_id, try(sort(data.aws_subnets.default[0].ids)[0], null))
}

data "aws_ami" "this" {
  include_deprecated = true

  filter {
    name   = "image-id"
    values = [var.image.ami_id]
  }
}

data "aws_ec2_instance_type" "this" {
  instance_type = var.instance_type
}

data "aws_route53_zone" "this" {
  zone_id = var.zone_id

  lifecycle {
    postcondition {
      condition     = var.domain == trimsuffix(self.name, ".") || endswith(var.domain, ".${trimsuffix(self.name, ".")}")
      error_message = "${var.domain} does not lie in the hosted zone ${var.zone_id}, which is that of ${trimsuffix(self.name, ".")}. Give the zone_id of a zone that the name ends with, or another domain."
    }
  }
}

locals {
  in_bucket = var.storage.bucket != null
  by_kms    = try(var.storage.bucket.encrypted_by_kms, false)
  logs      = var.log_retention_days != null

  storage = local.in_bucket ? {
    s3         = { bucket = var.storage.bucket.name, region = data.aws_region.this.id }
    filesystem = null
    } : {
    s3         = null
    filesystem = { rootdirectory = "/var/lib/registry/images" }
  }

  tls = var.certificate == "acme" ? {
    managed     = null
    letsencrypt = { email = var.acme_email, hosts = [var.domain] }
    } : {
    managed     = true
    letsencrypt = null
  }

  config = {
    version = "0.1"
    log     = { formatter = "json" }
    http = {
      addr         = ":443"
      host         = "https://${var.domain}"
      draintimeout = "5m"
      tls          = { for k, v in local.tls : k => v if v != null }
    }
    storage = merge({ for k, v in local.storage : k => v if v != null }, { delete = { enabled = true } })
    aws = {
      region     = data.aws_region.this.id
      secrets    = { http = var.http_secret_arn, admin = var.admin_secret_arn }
      bootreport = local.in_bucket
      logs       = { for k, v in { group = one(aws_cloudwatch_log_group.this[*].name) } : k => v if local.logs }
    }
  }
}

module "user_data" {
  source = "../user_data"

  config  = local.config
  install = try(merge(var.image.install, { region = coalesce(var.image.install.region, data.aws_region.this.id) }), null)
  failures = local.in_bucket ? {
    bucket = var.storage.bucket.name
    region = data.aws_region.this.id
  } : null
  volume = one([for v in aws_ebs_volume.images : { id = v.id }])
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "Registry ${var.name}"
  vpc_id      = data.aws_subnet.this.vpc_id
  tags        = merge(var.tags, { Name = var.name })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = toset(var.allowed_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "HTTPS"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.this.id
  description       = "AWS, the certificate authority and updates"
  cidr_ipv4         = "0.0.0.0/0" #trivy:ignore:AVD-AWS-0104 AWS and the certificate authority have no list of all their addresses
  ip_protocol       = "-1"
  tags              = var.tags
}

resource "aws_instance" "this" {
  ami                         = var.image.ami_id
  instance_type               = var.instance_type
  subnet_id                   = data.aws_subnet.this.id
  vpc_security_group_ids      = [aws_security_group.this.id]
  iam_instance_profile        = aws_iam_instance_profile.this.name
  user_data_base64            = module.user_data.base64
  user_data_replace_on_change = true # cloud-init reads it at the first boot only
  ebs_optimized               = true
  tags                        = merge(var.tags, { Name = var.name })
  volume_tags                 = merge(var.tags, { Name = var.name })

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    encrypted   = true
  }

  lifecycle {
    precondition {
      condition     = contains(data.aws_ec2_instance_type.this.supported_architectures, data.aws_ami.this.architecture)
      error_message = "The AMI ${var.image.ami_id} is of the architecture ${data.aws_ami.this.architecture}, and ${var.instance_type} is not. Give an AMI or an instance_type that fits."
    }
    precondition {
      condition     = var.certificate != "acme" || var.acme_email != null
      error_message = "certificate = \"acme\" needs acme_email: the authority writes there when something is wrong."
    }
  }

  depends_on = [aws_iam_role_policy.this, aws_vpc_security_group_egress_rule.all, aws_vpc_security_group_ingress_rule.https]
}

# Images on disk outlive the instance.
resource "aws_ebs_volume" "images" {
  count = local.in_bucket ? 0 : 1

  availability_zone = data.aws_subnet.this.availability_zone
  type              = "gp3"
  size              = var.storage.volume_gib
  encrypted         = true
  final_snapshot    = true # a destroy by mistake can be made good
  tags              = merge(var.tags, { Name = "${var.name}-images" })
}

resource "aws_volume_attachment" "images" {
  count = local.in_bucket ? 0 : 1

  device_name                    = "/dev/sdf"
  volume_id                      = aws_ebs_volume.images[0].id
  instance_id                    = aws_instance.this.id
  stop_instance_before_detaching = true
}

# The address stays when the instance is replaced.
resource "aws_eip" "this" {
  domain = "vpc"
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_eip_association" "this" {
  allocation_id = aws_eip.this.id
  instance_id   = aws_instance.this.id
}

resource "aws_route53_record" "this" {
  zone_id = data.aws_route53_zone.this.zone_id
  name    = var.domain
  type    = "A"
  ttl     = 60
  records = [aws_eip.this.public_ip]
}

# The journal, which can be read here and outlives the instance.
resource "aws_cloudwatch_log_group" "this" {
  count = local.logs ? 1 : 0

  name              = "/registry/${var.name}/single" # the way to module registry has both for a while
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

# Hardware that fails is left behind.
resource "aws_cloudwatch_metric_alarm" "recover" {
  alarm_name          = "${var.name}-recover"
  alarm_description   = "The machine below the instance has failed; AWS moves the instance to another one."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed_System"
  dimensions          = { InstanceId = aws_instance.this.id }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 2
  alarm_actions       = ["arn:${data.aws_partition.this.partition}:automate:${data.aws_region.this.id}:ec2:recover"]
  tags                = var.tags
}
