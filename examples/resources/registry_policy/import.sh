# By name.
terraform import registry_policy.team team
