# There before the first push. Released versions stay what they are.
resource "registry_repository" "app" {
  name                   = "team/app"
  description            = "The application of the team"
  immutable_tag_patterns = ["v*"]
}

# Anybody may pull without logging in. Destroying it deletes its images, too.
resource "registry_repository" "tools" {
  name           = "public/tools"
  anonymous_pull = true
  force_delete   = true
}
