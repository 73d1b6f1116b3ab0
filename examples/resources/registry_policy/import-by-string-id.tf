import {
  to = registry_policy.team
  id = "team"
}
