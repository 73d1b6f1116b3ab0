# What the pipelines push: the last ten images of each branch stay, previews of pull
# requests go after two weeks, and releases stay for good.
resource "registry_retention_policy" "ci" {
  name         = "ci"
  description  = "What the pipelines push"
  repositories = ["team/**"]

  rules = [
    {
      action   = "keep"
      versions = "releases"
    },
    {
      action       = "keep"
      tag_patterns = ["latest", "stable"]
    },
    {
      action        = "delete"
      tag_patterns  = ["main-*"]
      except_newest = 10
    },
    {
      action              = "delete"
      tag_patterns        = ["pr-*"]
      not_pushed_for_days = 14
    },
    {
      # What no tag leads to any more, and nobody pulls by its digest.
      action              = "delete"
      untagged            = true
      not_pushed_for_days = 7
      not_pulled_for_days = 30
    },
  ]
}
