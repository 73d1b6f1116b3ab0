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

# Where it goes is ephemeral, too: a write-only argument, such as data_wo of
# kubernetes_secret_v1, or the configuration of a provider.
#
#   data_wo = {
#     ".dockerconfigjson" = ephemeral.registry_token.deploy.docker_config_json
#   }
