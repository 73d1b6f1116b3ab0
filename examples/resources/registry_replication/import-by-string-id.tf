import {
  to = registry_replication.standby
  id = "standby"
}
