import {
  to = registry_tag.stable
  id = "team/api:stable"
}
