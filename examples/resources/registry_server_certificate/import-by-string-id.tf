import {
  to = registry_server_certificate.main
  id = "main"
}
