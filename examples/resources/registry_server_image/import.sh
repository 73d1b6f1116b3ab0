# By the id of the image, with its region where that is not the provider's.
terraform import registry_server_image.server ami-0123456789abcdef0@eu-central-1
