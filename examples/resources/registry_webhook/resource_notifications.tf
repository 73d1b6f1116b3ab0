variable "listener_token" {
  type      = string
  sensitive = true
}

# What a listener for the notifications of CNCF distribution has always got.
resource "registry_webhook" "listener" {
  name          = "listener"
  url           = "http://listener.internal:8080/events"
  actions       = ["push", "pull", "delete", "mount"]
  blobs         = true
  authorization = "Bearer ${var.listener_token}"
}
