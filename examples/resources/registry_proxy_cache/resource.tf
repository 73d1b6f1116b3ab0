variable "docker_hub_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

# docker pull registry.example.com/docker.io/nginx:1.29 comes from Docker Hub the first time, and then from here.
# The token reaches neither plan nor state. Change the version to set it again.
resource "registry_proxy_cache" "docker_hub" {
  prefix              = "docker.io"
  upstream_url        = "https://registry-1.docker.io"
  username            = "example"
  password_wo         = var.docker_hub_token
  password_wo_version = 1
}

# Without a login; a tag that is pulled is looked at again after an hour. Garbage collections evict
# what was pulled longest ago, so that the rest has 50 GB.
resource "registry_proxy_cache" "quay" {
  prefix                   = "quay.io"
  upstream_url             = "https://quay.io"
  revalidate_after_seconds = 3600
  max_size_bytes           = 50000000000
}

# Whoever runs on the cluster pulls from both, and pushes to neither.
resource "registry_policy" "cluster" {
  name = "cluster"
  rules = [
    { repositories = ["docker.io/**", "quay.io/**"], actions = ["pull"] },
  ]
}
