# The policy for the role of the servers, where something else made the bucket.
data "registry_iam_policy" "server" {
  bucket         = "arn:aws:s3:::example-images"
  root_directory = "registry"
  kms_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
}

output "server_policy" {
  value = data.registry_iam_policy.server.json # for example the policy of an aws_iam_role_policy
}
