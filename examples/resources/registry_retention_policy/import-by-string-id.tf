import {
  to = registry_retention_policy.ci
  id = "ci"
}
