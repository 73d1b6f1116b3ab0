# The lifecycle policy of a repository that moves here from ECR.
locals {
  lifecycle_policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Keep the last 30 releases"
        selection    = { tagStatus = "tagged", tagPatternList = ["v*"], countType = "imageCountMoreThan", countNumber = 30 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Everything else goes after two weeks"
        selection    = { tagStatus = "any", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
        action       = { type = "expire" }
      },
    ]
  })
}

resource "registry_retention_policy" "app" {
  name         = "app"
  repositories = ["team/app"]
  rules        = provider::registry::ecr_lifecycle_rules(local.lifecycle_policy)
}
