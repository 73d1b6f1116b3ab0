data "registry_image" "candidate" {
  repository = "team/api"
  tag        = "candidate"
}

# What was tested is what becomes stable, also if the candidate moves on.
resource "registry_tag" "stable" {
  repository = "team/api"
  tag        = "stable"
  digest     = data.registry_image.candidate.digest
}

output "is_signed" {
  value = anytrue([
    for r in data.registry_image.candidate.referrers : startswith(r.artifact_type, "application/vnd.dev.cosign")
  ])
}
