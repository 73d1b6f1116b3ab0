locals {
  make_secret = var.secret == null
  secret_arn  = local.make_secret ? aws_secretsmanager_secret_version.auth[0].arn : var.secret.arn
}

# New on every run, but written only once.
ephemeral "registry_password" "auth" {
  count = local.make_secret ? 1 : 0

  length  = 64
  symbols = ""
}

resource "aws_secretsmanager_secret" "auth" {
  count = local.make_secret ? 1 : 0

  name_prefix             = "${var.name}-cache-"
  description             = "Password of the cache of the registry ${var.name}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_days
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "auth" {
  count = local.make_secret ? 1 : 0

  secret_id                = aws_secretsmanager_secret.auth[0].id
  secret_string_wo         = ephemeral.registry_password.auth[0].password
  secret_string_wo_version = 1
}

# The one value that cannot be write-only: the provider has no such argument for it. It is in the state, and is worth no more than
# facts about which images exist; only the servers' security group can connect at all.
data "aws_secretsmanager_secret_version" "auth" {
  secret_id = local.secret_arn
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-cache-"
  description = "Cache of the registry ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-cache" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "servers" {
  security_group_id            = aws_security_group.this.id
  description                  = "Servers"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
  tags                         = var.tags
}

resource "aws_elasticache_subnet_group" "this" {
  name       = "${var.name}-cache"
  subnet_ids = var.subnet_ids
  tags       = var.tags
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id       = "${var.name}-cache"
  description                = "What the servers of the registry ${var.name} know of its images"
  engine                     = var.engine
  node_type                  = var.node_type
  num_cache_clusters         = var.nodes
  automatic_failover_enabled = var.nodes > 1
  multi_az_enabled           = var.nodes > 1
  port                       = 6379
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.this.id]
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  auth_token                 = data.aws_secretsmanager_secret_version.auth.secret_string
  auto_minor_version_upgrade = true
  apply_immediately          = true
  tags                       = var.tags
}
