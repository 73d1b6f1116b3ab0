# By name. This is also how to manage a repository that a push made.
terraform import registry_repository.app team/app
