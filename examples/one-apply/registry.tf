resource "registry_repository" "hello" {
  name                   = "team/hello"
  description            = "The first image"
  immutable_tag_patterns = ["v*"]
  force_delete           = true
}

resource "registry_policy" "team_push" {
  name        = "team-push"
  description = "Push and pull the team's images"
  rules = [{
    repositories = ["team/*"]
    actions      = ["pull", "push"]
  }]
}

# New on every run, and used only where passwords_version says so: neither plan nor state ever holds it.
ephemeral "registry_password" "ci" {
  length = 32
}

resource "registry_user" "ci" {
  username            = "ci"
  description         = "Pushes what the team builds"
  password_wo         = ephemeral.registry_password.ci.password
  password_wo_version = var.passwords_version
  policies            = [registry_policy.team_push.name]
}

resource "registry_image" "hello" {
  source     = var.first_image
  repository = registry_repository.hello.name
  tag        = "v1"
  on_destroy = "keep" # v* is immutable; the repository takes it along
}

# What runs in production; promoting another image is one line here.
resource "registry_tag" "production" {
  repository = registry_repository.hello.name
  tag        = "production"
  digest     = registry_image.hello.digest
}
