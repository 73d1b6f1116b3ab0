# By name. The password cannot be read from the server: where the configuration has one, the next apply sets it.
terraform import registry_replication.standby standby
