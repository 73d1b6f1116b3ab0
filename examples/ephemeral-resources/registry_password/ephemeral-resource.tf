# Another password in every run; the user keeps the one that was made when
# password_wo_version last changed.
ephemeral "registry_password" "deploy" {
  length = 40
}

resource "registry_user" "deploy" {
  username            = "deploy"
  password_wo         = ephemeral.registry_password.deploy.password
  password_wo_version = 1
  policies            = ["read-only"]
}
