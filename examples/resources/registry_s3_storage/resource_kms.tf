# With a key of KMS, tried out as soon as it is made; for servers that run in another account, too.
resource "registry_s3_storage" "encrypted" {
  bucket = "example-images-encrypted"
  region = "eu-central-1"
  verify = true

  encryption = {
    algorithm  = "aws:kms"
    kms_key_id = "arn:aws:kms:eu-central-1:123456789012:alias/registry"
  }

  allowed_principal_arns = ["arn:aws:iam::210987654321:role/registry"]

  timeouts = {
    delete = "1h"
  }
}
