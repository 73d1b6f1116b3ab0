# What make quickstart applies to the registry that it starts. It works for any other one, too:
#
#   export REGISTRY_ENDPOINT=http://127.0.0.1:5000 REGISTRY_USERNAME=admin REGISTRY_PASSWORD=…
#   terraform init && terraform apply

terraform {
  required_version = ">= 1.11"
  required_providers {
    registry = {
      source = "registrykit/registry"
    }
  }
}

# The first admin comes from the server's configuration; the provider logs in as that.
provider "registry" {
  endpoint = var.endpoint # null: REGISTRY_ENDPOINT
  username = var.username # null: REGISTRY_USERNAME
  password = var.password # null: REGISTRY_PASSWORD
}

# Another admin, for a person.
resource "registry_user" "operator" {
  username    = "operator"
  description = "Administers the registry"
  password    = lookup(var.passwords, "operator", terraform_data.operator_password.output)
  policies    = ["admin"]
}

# Who builds images may pull and push those of the team, and no others.
resource "registry_policy" "team_push" {
  name        = "team-push"
  description = "Push and pull the team's images"
  rules = [{
    repositories = ["team/*"]
    actions      = ["pull", "push"]
  }]

  lifecycle {
    create_before_destroy = true # so that it can be renamed while it is in use
  }
}

resource "registry_user" "ci" {
  username    = "ci"
  description = "Pushes what the team builds"
  password    = lookup(var.passwords, "ci", terraform_data.ci_password.output)
  policies    = [registry_policy.team_push.name]
}

# Who runs images may pull all of them; this policy is built in.
resource "registry_user" "reader" {
  username    = "reader"
  description = "Pulls images to run them"
  password    = lookup(var.passwords, "reader", terraform_data.reader_password.output)
  policies    = ["read-only"]
}
