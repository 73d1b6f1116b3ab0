import {
  to = registry_s3_storage.images
  id = "example-images"
}
