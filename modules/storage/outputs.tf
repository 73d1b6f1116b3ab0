output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id
  # Whoever writes to it finds it as it shall be.
  depends_on = [
    aws_s3_bucket_public_access_block.this, aws_s3_bucket_ownership_controls.this, aws_s3_bucket_versioning.this,
    aws_s3_bucket_server_side_encryption_configuration.this, aws_s3_bucket_policy.tls,
  ]
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "region" {
  description = "Region of the bucket."
  value       = aws_s3_bucket.this.region
}

output "kms_key_arn" {
  description = "The key that encrypts its objects, or null."
  value       = local.key_arn
}

output "encrypted_by_kms" {
  description = "Whether there is such a key; known before it is made."
  value       = local.kms
}
