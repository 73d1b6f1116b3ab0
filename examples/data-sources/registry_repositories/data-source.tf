# Every repository of the team.
data "registry_repositories" "team" {
  name_glob = "team/**"
}

# Those in which every tag can still be moved.
output "without_immutable_tags" {
  value = [for r in data.registry_repositories.team.repositories : r.name if length(r.immutable_tag_patterns) == 0]
}
