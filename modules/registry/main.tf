data "aws_region" "this" {}

data "aws_caller_identity" "this" {}

locals {
  drain_seconds = 300
  logs          = try(var.monitoring.logs, false)
  tags          = merge({ Registry = var.name }, var.tags)
  bucket        = coalesce(var.storage.bucket, "${var.name}-${data.aws_caller_identity.this.account_id}-${data.aws_region.this.id}")

  # Every API that an instance calls, where there is no way to the internet.
  endpoints = concat(
    ["secretsmanager", "autoscaling", "ssm", "sts"],
    var.storage.kms != null ? ["kms"] : [],
    local.logs ? ["logs"] : [],
  )

  network = var.network != null ? var.network : {
    id                       = module.network[0].vpc_id
    load_balancer_subnet_ids = var.internal ? module.network[0].private_subnet_ids : module.network[0].public_subnet_ids
    instance_subnet_ids      = var.new_network.egress == "public" ? module.network[0].public_subnet_ids : module.network[0].private_subnet_ids
    public_addresses         = var.new_network.egress == "public"
  }
}

module "network" {
  source = "../network"
  count  = var.network == null ? 1 : 0

  name                = var.name
  cidr                = var.new_network.cidr
  zones               = var.new_network.zones
  egress              = var.new_network.egress
  interface_endpoints = var.new_network.egress == "endpoints" ? local.endpoints : []
  tags                = local.tags
}

module "storage" {
  source = "../storage"

  bucket                  = local.bucket
  kms                     = var.storage.kms
  versioning              = var.storage.versioning
  noncurrent_days         = var.storage.noncurrent_days
  deny_insecure_transport = var.storage.deny_insecure_transport
  access_logs_bucket      = var.storage.access_logs_bucket
  replication             = var.storage.replication
  force_destroy           = var.storage.force_destroy
  tags                    = local.tags
}

module "secrets" {
  source = "../secrets"

  name          = var.name
  http_secret   = var.http_secret
  admin         = { secret = var.admin_secret }
  recovery_days = var.secret_recovery_days
  tags          = local.tags
}

module "load_balancer" {
  source = "../load_balancer"

  name                = var.name
  vpc_id              = local.network.id
  subnet_ids          = local.network.load_balancer_subnet_ids
  internal            = var.internal
  allowed_cidrs       = var.allowed_cidrs
  certificate_arn     = module.dns.certificate_arn
  drain_seconds       = local.drain_seconds
  target              = { protocol = var.load_balancer.https_targets ? "HTTPS" : "HTTP" }
  access_logs         = var.load_balancer.access_logs
  rate_limit          = var.load_balancer.rate_limit
  deletion_protection = var.load_balancer.deletion_protection
  tags                = local.tags
}

module "dns" {
  source = "../dns"

  domain      = var.domain
  zone_id     = var.zone_id
  certificate = var.certificate
  alias       = { dns_name = module.load_balancer.dns_name, zone_id = module.load_balancer.zone_id }
  tags        = local.tags
}

module "cache" {
  source = "../cache"
  count  = var.cache == null ? 0 : 1

  name                     = var.name
  vpc_id                   = local.network.id
  subnet_ids               = local.network.instance_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  node_type                = var.cache.node_type
  nodes                    = var.cache.nodes
  engine                   = var.cache.engine
  secret                   = var.cache.secret
  recovery_days            = var.secret_recovery_days
  tags                     = local.tags
}

module "cluster" {
  source = "../cluster"

  name             = var.name
  vpc_id           = local.network.id
  subnet_ids       = local.network.instance_subnet_ids
  public_addresses = local.network.public_addresses
  image            = var.image
  capacity         = var.capacity
  config           = local.config
  drain_seconds    = local.drain_seconds
  secret_arns      = concat(module.secrets.arns, module.cache[*].secret_arn)
  ship_logs        = local.logs
  log_group_arn    = local.logs ? module.monitoring[0].log_group.arn : null
  tags             = local.tags

  bucket = {
    arn              = module.storage.arn
    kms_key_arn      = module.storage.kms_key_arn
    encrypted_by_kms = module.storage.encrypted_by_kms
  }
  load_balancer = {
    target_group_arn  = module.load_balancer.target_group_arn
    security_group_id = module.load_balancer.security_group_id
    resource_label    = "${module.load_balancer.arn_suffix}/${module.load_balancer.target_group_arn_suffix}"
  }
}

module "monitoring" {
  source = "../monitoring"
  count  = var.monitoring == null ? 0 : 1

  name                     = var.name
  load_balancer_arn_suffix = module.load_balancer.arn_suffix
  target_group_arn_suffix  = module.load_balancer.target_group_arn_suffix
  group_name               = var.name
  certificate_arn          = module.dns.certificate_arn
  bucket                   = module.storage.bucket
  emails                   = var.monitoring.emails
  logs                     = var.monitoring.logs
  log_retention_days       = var.monitoring.log_retention_days
  tags                     = local.tags
}
