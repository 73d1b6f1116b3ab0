resource "registry_user" "deploy" {
  username = "deploy"
  policies = ["read-only"]
}

# The name, known only once the user is there.
resource "terraform_data" "deploy" {
  input = registry_user.deploy.username
}

ephemeral "registry_token" "deploy" {
  username = terraform_data.deploy.output
  ttl      = "30m"

  access = [{
    repositories = ["team/*"]
    actions      = ["pull"]
  }]
}

# It is good as long as this run: for a provider that pulls or pushes, such as
#
#   provider "helm" {
#     registries = [{
#       url      = "oci://registry.example.com"
#       username = "deploy"
#       password = ephemeral.registry_token.deploy.token
#     }]
#   }
