# An Auto Scaling group whose launch template a machine boots from, without what is around it.

provider "aws" {}

variable "ami_id" {
  type = string
}

variable "bucket" {
  type = string
}

variable "config" {
  type = any
}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_security_group" "load_balancer" {
  name   = "front"
  vpc_id = data.aws_vpc.default.id
}

resource "aws_lb_target_group" "this" {
  name     = "front"
  port     = 5000
  protocol = "HTTP"
  vpc_id   = data.aws_vpc.default.id
}

module "cluster" {
  source = "../../../cluster"

  name       = "booted"
  vpc_id     = data.aws_vpc.default.id
  subnet_ids = data.aws_subnets.default.ids
  image      = { ami_ids = { x86_64 = var.ami_id } }
  capacity   = { instance_types = ["t3.small"], min = 1, wait_minutes = 0 }
  config     = var.config
  bucket     = { arn = "arn:aws:s3:::${var.bucket}" }
  load_balancer = {
    target_group_arn  = aws_lb_target_group.this.arn
    security_group_id = aws_security_group.load_balancer.id
    resource_label    = "app/front/0/targetgroup/front/0"
  }
}
