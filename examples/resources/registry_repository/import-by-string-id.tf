import {
  to = registry_repository.app
  id = "team/app"
}
