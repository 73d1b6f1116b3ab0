import {
  to = registry_webhook.ci
  id = "ci"
}
