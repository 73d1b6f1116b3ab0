# Applied for real, so `terraform test` finds it only with -test-directory=tests/applied. The repository's tests do that in an emulated AWS.

variables {
  bucket        = "images-applied"
  force_destroy = true
}

run "a_bucket_with_a_key" {
  variables {
    kms = {}
  }

  assert {
    condition     = output.bucket == "images-applied" && output.arn == "arn:aws:s3:::images-applied"
    error_message = "The bucket is ${output.arn}."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == output.kms_key_arn
    error_message = "It encrypts with the key that was made for it."
  }
}

run "keeps_less" {
  variables {
    kms             = {}
    noncurrent_days = 7
  }

  assert {
    condition     = output.kms_key_arn == run.a_bucket_with_a_key.kms_key_arn && contains(flatten([for r in aws_s3_bucket_lifecycle_configuration.this.rule : r.noncurrent_version_expiration[*].noncurrent_days]), 7)
    error_message = "What was deleted is kept for a week, and nothing else has changed."
  }
}
