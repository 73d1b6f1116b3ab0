# The whole, without an account.

mock_provider "aws" {
  source = "../testing"
}

variables {
  name    = "images"
  domain  = "registry.example.com"
  zone_id = "Z0123456789"
  image   = { ami_ids = { arm64 = "ami-0123456789abcdef0" } }
}

run "five_inputs_suffice" {
  assert {
    condition     = output.endpoint == "https://registry.example.com"
    error_message = "The endpoint is ${output.endpoint}."
  }
  assert {
    condition     = yamldecode(yamlencode(local.config)).storage.s3.bucket == "images" && !local.config.storage.redirect.disable
    error_message = "Clients of a public registry get layers from S3."
  }
  assert {
    condition     = local.config.http.trustedproxies == ["10.0.0.0/20", "10.0.0.0/20"]
    error_message = "The load balancer's subnets are the trusted proxies: ${jsonencode(local.config.http.trustedproxies)}."
  }
  assert {
    condition     = !can(local.config.redis)
    error_message = "Without a cache there is nothing about one in the configuration."
  }
}

run "a_bucket_of_another_registry" {
  variables {
    storage = { bucket = "old-images", root_directory = "/registry" }
  }

  assert {
    condition     = local.config.storage.s3.rootdirectory == "/registry" && local.bucket == "old-images"
    error_message = "Servers look where the images are: ${jsonencode(local.config.storage.s3)}."
  }
}

run "private" {
  variables {
    internal    = true
    new_network = { egress = "endpoints" }
    storage     = { kms = {} }
  }

  assert {
    condition     = local.config.storage.redirect.disable
    error_message = "Clients that may not reach S3 are not sent there."
  }
  assert {
    condition     = toset(local.endpoints) == toset(["secretsmanager", "autoscaling", "ssm", "sts", "kms", "logs"])
    error_message = "Endpoints are ${join(", ", local.endpoints)}."
  }
  assert {
    condition     = tolist(local.network.load_balancer_subnet_ids) == tolist(module.network[0].private_subnet_ids)
    error_message = "An internal load balancer is in private subnets."
  }
}

run "without_logs" {
  variables {
    monitoring = { logs = false }
  }

  assert {
    condition     = !can(local.config.aws.logs.group) && module.monitoring[0].log_group == null && !contains(local.endpoints, "logs")
    error_message = "Nothing is shipped: ${jsonencode(local.config.aws)}."
  }
}

run "https_to_the_servers" {
  variables {
    load_balancer = { https_targets = true }
  }

  assert {
    condition     = local.config.http.tls.managed
    error_message = "Servers have a certificate: ${jsonencode(local.config.http)}."
  }
}

run "with_a_cache" {
  variables {
    cache = {}
  }

  assert {
    condition     = local.config.redis.addr == "any.cache.amazonaws.com:6379" && local.config.redis.tls.enabled && can(local.config.aws.secrets.redis)
    error_message = "Servers are told of the cache: ${jsonencode(local.config)}."
  }
}

run "own_configuration_wins" {
  variables {
    config = { http = { draintimeout = "60s" }, log = { level = "debug" } }
  }

  assert {
    condition     = local.config.http.draintimeout == "60s" && local.config.http.addr == ":5000" && local.config.log.level == "debug" && local.config.log.formatter == "json"
    error_message = "Sections are merged: ${jsonencode(local.config)}."
  }
}

run "name_too_long" {
  command = plan

  variables {
    name = "a-registry-with-a-long-name"
  }

  expect_failures = [var.name]
}
