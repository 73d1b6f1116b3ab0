import {
  to = registry_server_image.server
  id = "ami-0123456789abcdef0@eu-central-1"
}
