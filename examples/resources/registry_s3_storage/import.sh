# By the name of the bucket.
terraform import registry_s3_storage.images example-images
