# The users of the htpasswd file, with the passwords that they have: both keep the same bcrypt hashes.

locals {
  # Lines such as alice:$2y$05$…
  htpasswd = var.htpasswd_file == null ? {} : {
    for line in compact(split("\n", file(var.htpasswd_file))) : split(":", line)[0] => trimspace(split(":", line)[1])
  }
}

resource "registry_policy" "push" {
  name        = "push"
  description = "Push and pull everywhere"
  rules = [{
    repositories = ["**"]
    actions      = ["pull", "push"]
  }]
}

resource "registry_user" "migrated" {
  for_each = local.htpasswd

  username      = each.key
  password_hash = each.value
  policies      = contains(var.pushers, each.key) ? [registry_policy.push.name] : ["read-only"]
}
