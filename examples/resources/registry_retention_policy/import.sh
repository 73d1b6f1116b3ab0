# By name.
terraform import registry_retention_policy.ci ci
