resource "registry_policy" "team" {
  name = "team"
  rules = [{
    repositories = ["team/*"]
    actions      = ["pull", "push"]
  }]
}

resource "registry_user" "ci" {
  username = "ci"
  policies = [registry_policy.team.name]
}

data "registry_access_check" "ci_pushes" {
  username   = registry_user.ci.username
  repository = "team/app"
  action     = "push"

  # Not before the user has its policies.
  depends_on = [registry_user.ci]

  lifecycle {
    postcondition {
      condition     = self.allowed
      error_message = "CI cannot push: ${self.explanation}."
    }
  }
}

# What does anybody get who has no credentials?
data "registry_access_check" "strangers_pull" {
  repository = "team/app"
  action     = "pull"

  lifecycle {
    postcondition {
      condition     = !self.allowed
      error_message = "Images of the team are public: ${self.explanation}."
    }
  }
}
