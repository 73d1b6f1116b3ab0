# By name. Secrets cannot be read from the server: where the configuration has them, the next apply sets them.
terraform import registry_webhook.ci ci
