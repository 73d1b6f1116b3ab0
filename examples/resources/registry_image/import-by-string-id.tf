import {
  to = registry_image.nginx
  id = "mirror/nginx:1.27"
}
