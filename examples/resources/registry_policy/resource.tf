# The team pushes to its own repositories and pulls the base images of all.
resource "registry_policy" "team" {
  name        = "team"
  description = "Repositories of the team"

  rules = [
    {
      repositories = ["team/**"]
      actions      = ["pull", "push"]
    },
    {
      repositories = ["base/*", "tools/*"]
      actions      = ["pull"]
    },
  ]

  # A rename makes another policy; its users move to it before this one goes.
  lifecycle {
    create_before_destroy = true
  }
}

resource "registry_user" "builder" {
  username = "builder"
  policies = [registry_policy.team.name]
}

# What anyone may pull without logging in.
resource "registry_policy" "public" {
  name      = "public"
  anonymous = true

  rules = [{
    repositories = ["public/**"]
    actions      = ["pull"]
  }]
}
