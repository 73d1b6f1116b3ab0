import {
  to = registry_user.ci
  id = "ci"
}
