locals {
  make_http  = var.http_secret == null
  make_admin = var.admin.secret == null
}

# New on every run, but written only when a version below is raised. Neither plan nor state ever holds them.
ephemeral "registry_password" "http" {
  count = local.make_http ? 1 : 0

  length  = 64
  symbols = ""
}

ephemeral "registry_password" "admin" {
  count = local.make_admin ? 1 : 0

  length  = 32
  symbols = ""
}

# Seals upload sessions and logins. Every server has the same, and Secrets Manager keeps the one before it.
resource "aws_secretsmanager_secret" "http" {
  count = local.make_http ? 1 : 0

  name_prefix             = "${var.name}-http-"
  description             = "HTTP secret of the registry ${var.name}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_days
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "http" {
  count = local.make_http ? 1 : 0

  secret_id                = aws_secretsmanager_secret.http[0].id
  secret_string_wo         = ephemeral.registry_password.http[0].password
  secret_string_wo_version = var.http_secret_version
}

resource "aws_secretsmanager_secret" "admin" {
  count = local.make_admin ? 1 : 0

  name_prefix             = "${var.name}-admin-"
  description             = "First admin of the registry ${var.name}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_days
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "admin" {
  count = local.make_admin ? 1 : 0

  secret_id = aws_secretsmanager_secret.admin[0].id
  secret_string_wo = jsonencode({
    username = var.admin.username
    password = ephemeral.registry_password.admin[0].password
  })
  secret_string_wo_version = var.admin.version
}
