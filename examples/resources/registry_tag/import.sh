# REPOSITORY:TAG
terraform import registry_tag.stable team/api:stable
