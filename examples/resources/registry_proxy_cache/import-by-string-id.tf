import {
  to = registry_proxy_cache.docker_hub
  id = "docker.io"
}
