# What the servers run with. Secrets are named, and read by the servers through their role.

data "aws_subnet" "load_balancer" {
  count = length(local.network.load_balancer_subnet_ids)

  id = local.network.load_balancer_subnet_ids[count.index]
}

locals {
  own_config = {
    version = "0.1"
    log     = { formatter = "json" }
    http = merge({
      addr           = ":5000"
      host           = "https://${var.domain}"
      trustedproxies = data.aws_subnet.load_balancer[*].cidr_block # whose X-Forwarded-For is believed
      drainwait      = "30s"                                       # until the load balancer has noticed
      draintimeout   = "${local.drain_seconds - 30}s"
    }, { for k, v in { tls = { managed = true } } : k => v if var.load_balancer.https_targets })
    storage = {
      s3 = merge(
        { bucket = module.storage.bucket, region = data.aws_region.this.id },
        { for k, v in { regionendpoint = var.storage.endpoint, forcepathstyle = true } : k => v if var.storage.endpoint != null },
        { for k, v in { rootdirectory = var.storage.root_directory } : k => v if v != null },
      )
      delete   = { enabled = true }
      redirect = { disable = var.internal && !var.clients_reach_s3 }
    }
    aws = {
      logs = { for k, v in { group = local.logs ? module.monitoring[0].log_group.name : null } : k => v if local.logs }
      secrets = merge(
        { http = module.secrets.http_secret_arn, admin = module.secrets.admin_secret_arn },
        { for k, v in { redis = one(module.cache[*].secret_arn) } : k => v if var.cache != null },
      )
    }
  }

  cache_config = { redis = { addr = one(module.cache[*].address), tls = { enabled = true } } }
  with_cache   = merge(local.own_config, { for k, v in local.cache_config : k => v if var.cache != null })

  config = { for section in setunion(keys(local.with_cache), keys(var.config)) :
    section => try(merge(local.with_cache[section], var.config[section]), var.config[section], local.with_cache[section])
  }
}
