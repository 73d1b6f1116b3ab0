# Answers of AWS for tests that need no account, of a shape that the provider's own checks accept.

mock_data "aws_region" {
  defaults = { id = "eu-west-1", name = "eu-west-1" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_availability_zones" {
  defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
}

mock_data "aws_vpc_endpoint_service" {
  defaults = { service_name = "com.amazonaws.eu-west-1.any" }
}

mock_data "aws_route53_zone" {
  defaults = { name = "example.com.", zone_id = "Z0123456789" }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
}

mock_data "aws_ec2_instance_type" {
  defaults = { supported_architectures = ["arm64"], default_vcpus = 2 }
}

mock_data "aws_servicequotas_service_quota" {
  defaults = { value = 32 }
}

mock_data "aws_ami" {
  defaults = { architecture = "arm64", root_device_name = "/dev/xvda" }
}

mock_data "aws_secretsmanager_secret_version" {
  defaults = { secret_string = "0123456789abcdef0123456789abcdef" }
}

mock_data "aws_subnet" {
  defaults = { id = "subnet-1", vpc_id = "vpc-1", cidr_block = "10.0.0.0/20" } # and a zone that no other has
}

mock_resource "aws_s3_bucket" {
  defaults = { id = "images", arn = "arn:aws:s3:::images", region = "eu-west-1" }
}

mock_resource "aws_iam_role" {
  defaults = { id = "role", name = "role", arn = "arn:aws:iam::123456789012:role/role" }
}

mock_resource "aws_iam_instance_profile" {
  defaults = { arn = "arn:aws:iam::123456789012:instance-profile/role" }
}

mock_resource "aws_iam_openid_connect_provider" {
  defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/example.com" }
}

mock_resource "aws_ssm_parameter" {
  defaults = { arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/registry/any/boot" }
}

mock_resource "aws_kms_key" {
  defaults = { key_id = "1234abcd-12ab-34cd-56ef-1234567890ab", arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab" }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = { id = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:any-AbCdEf", arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:any-AbCdEf" }
}

mock_resource "aws_secretsmanager_secret_version" {
  defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:any-AbCdEf" }
}

mock_resource "aws_launch_template" {
  defaults = { id = "lt-0123456789abcdef0", latest_version = 3 }
}

mock_resource "aws_lb" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/any/0123456789abcdef", arn_suffix = "app/any/0123456789abcdef", dns_name = "any.elb.amazonaws.com", zone_id = "Z32O12XQLNTSW2" }
}

mock_resource "aws_lb_target_group" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/any/0123456789abcdef", arn_suffix = "targetgroup/any/0123456789abcdef" }
}

mock_resource "aws_lb_listener" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/any/0123456789abcdef/0123456789abcdef" }
}

mock_resource "aws_acm_certificate" {
  defaults = {
    arn = "arn:aws:acm:eu-west-1:123456789012:certificate/0123"
    domain_validation_options = [{
      domain_name = "registry.example.com", resource_record_name = "_x.registry.example.com", resource_record_type = "CNAME", resource_record_value = "_y.acm-validations.aws"
    }]
  }
}

mock_resource "aws_acm_certificate_validation" {
  defaults = { certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/0123" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:any-alarms" }
}

mock_resource "aws_wafv2_web_acl" {
  defaults = { arn = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/any/0123" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/registry/any" }
}

mock_resource "aws_elasticache_replication_group" {
  defaults = { primary_endpoint_address = "any.cache.amazonaws.com" }
}
