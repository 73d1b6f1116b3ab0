resource "registry_repository" "app" {
  name                   = "team/app"
  description            = "The team's application"
  immutable_tag_patterns = ["v*"]
}

resource "registry_policy" "team_push" {
  name        = "team-push"
  description = "Push and pull the team's images"
  rules = [{
    repositories = ["team/*"]
    actions      = ["pull", "push"]
  }]
}

ephemeral "registry_password" "ci" {
  provider = registry.setup
}

resource "registry_user" "ci" {
  username            = "ci"
  description         = "Pushes what the team builds"
  password_wo         = ephemeral.registry_password.ci.password
  password_wo_version = 1
  policies            = [registry_policy.team_push.name]
}

# CI reads its password here.
resource "aws_secretsmanager_secret" "ci" {
  name_prefix = "${var.name}-ci-"
  description = "Password of the user ci of ${var.domain}"
}

resource "aws_secretsmanager_secret_version" "ci" {
  secret_id                = aws_secretsmanager_secret.ci.id
  secret_string_wo         = ephemeral.registry_password.ci.password
  secret_string_wo_version = registry_user.ci.password_wo_version
}

resource "registry_image" "first" {
  source     = "docker.io/library/hello-world:latest"
  repository = "team/hello"
  tag        = "latest"
}
