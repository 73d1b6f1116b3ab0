resource "aws_security_group" "this" {
  name_prefix = "${var.name}-lb-"
  description = "Load balancer of the registry ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-lb" })

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

# Only to be told to come back by HTTPS.
resource "aws_vpc_security_group_ingress_rule" "http" {
  for_each = toset(var.allowed_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "HTTP, which redirects"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  tags              = var.tags
}

data "aws_subnet" "this" {
  count = length(var.subnet_ids)

  id = var.subnet_ids[count.index]
}

resource "aws_lb" "this" {
  name                       = var.name
  load_balancer_type         = "application"
  internal                   = var.internal #trivy:ignore:AVD-AWS-0053 a registry for the internet is what some want; allowed_cidrs says for whom
  security_groups            = [aws_security_group.this.id]
  subnets                    = var.subnet_ids
  idle_timeout               = var.idle_timeout_seconds
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  tags                       = var.tags

  dynamic "access_logs" {
    for_each = var.access_logs == null ? [] : [var.access_logs]

    content {
      enabled = true
      bucket  = access_logs.value.bucket
      prefix  = access_logs.value.prefix
    }
  }

  lifecycle {
    precondition {
      condition     = length(distinct(data.aws_subnet.this[*].availability_zone)) == length(var.subnet_ids)
      error_message = "A load balancer takes one subnet of each zone, of two zones or more, and these lie in ${join(", ", data.aws_subnet.this[*].availability_zone)}. Give subnet_ids of different zones."
    }
  }
}

resource "aws_lb_target_group" "this" {
  name_prefix          = substr("${replace(var.name, "-", "")}-rk", 0, 6)
  vpc_id               = var.vpc_id
  port                 = var.target.port
  protocol             = var.target.protocol
  deregistration_delay = var.drain_seconds
  # Pushes and pulls differ much in length: the least busy instance is the best.
  load_balancing_algorithm_type = "least_outstanding_requests"
  tags                          = var.tags

  # Ready, as long as nothing is wrong with this very instance: an outage of S3 replaces nobody.
  health_check {
    path                = "/readyz"
    protocol            = var.target.protocol
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  lifecycle {
    create_before_destroy = true # the listener holds on to the one that it has
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = var.ssl_policy
  certificate_arn   = var.certificate_arn
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"
  tags              = var.tags

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}
