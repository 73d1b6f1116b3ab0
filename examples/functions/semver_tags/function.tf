# ["1", "1.4", "1.4.2"]
output "release" {
  value = provider::registry::semver_tags("1.4.2")
}

# ["1.5.0-rc.1"]: whoever asks for 1 or 1.5 does not get a release candidate.
output "candidate" {
  value = provider::registry::semver_tags("1.5.0-rc.1")
}
