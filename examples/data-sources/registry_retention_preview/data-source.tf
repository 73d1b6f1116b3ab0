locals {
  ci = {
    name         = "ci"
    repositories = ["team/**"]
    rules = [
      { action = "delete", tag_patterns = ["pr-*"], not_pushed_for_days = 14 },
      { action = "keep", versions = "releases" },
    ]
  }
}

# What the policy would delete, in the plan that makes or changes it.
data "registry_retention_preview" "ci" {
  policy = local.ci
}

resource "registry_retention_policy" "ci" {
  name         = local.ci.name
  repositories = local.ci.repositories
  rules        = local.ci.rules
}

output "deletions" {
  value = [for d in data.registry_retention_preview.ci.deletions : "${d.repository}:${coalesce(d.tag, d.digest)} (${d.reason})"]
}

# More than that at once is a mistake.
check "retention" {
  assert {
    condition     = length(data.registry_retention_preview.ci.deletions) < 100
    error_message = "The policy would delete 100 tags or more."
  }
}
