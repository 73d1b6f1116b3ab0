locals {
  server = {
    program   = var.server
    address   = "127.0.0.1:${var.port}"
    directory = abspath(var.directory)
    log_level = var.log_level
    storage   = registry_s3_storage.images.environment
    # With the chain, and the fingerprint of a key that belongs to it.
    certificate = registry_certificate.server.chain_pem
  }
}

# Runs the server. Any change of what it runs with starts it anew; what was pushed is in the bucket.
resource "terraform_data" "server" {
  triggers_replace = local.server

  input = {
    endpoint  = "https://${local.server.address}"
    directory = local.server.directory
    stop      = abspath("${path.module}/stop.sh")
  }

  provisioner "local-exec" {
    command = "${path.module}/start.sh"
    environment = merge(local.server.storage, {
      SERVER                  = local.server.program
      DIRECTORY               = local.server.directory
      CERTIFICATE             = local.server.certificate
      PRIVATE_KEY             = registry_certificate.server.private_key_pem
      REGISTRY_HTTP_ADDR      = local.server.address
      REGISTRY_LOG_LEVEL      = local.server.log_level
      REGISTRY_ADMIN_USERNAME = "admin"
      REGISTRY_ADMIN_PASSWORD = var.admin_password
    })
  }

  provisioner "local-exec" {
    when        = destroy
    command     = self.input.stop
    environment = { DIRECTORY = self.input.directory }
  }
}
