mock_provider "aws" {
  source = "../testing"
}

variables {
  bucket = "images"
}

run "closed_by_default" {
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Nothing in the bucket is public."
  }
  assert {
    condition     = !aws_s3_bucket.this.force_destroy && length(aws_s3_bucket_policy.tls) == 1 && length(aws_kms_key.this) == 0
    error_message = "A destroy keeps images, and only TLS gets in."
  }
  assert {
    condition     = length(aws_s3_bucket_replication_configuration.this) == 0 && length(aws_iam_role.replication) == 0
    error_message = "Nothing is copied that nobody asked for."
  }
}

run "own_key" {
  variables {
    kms = {}
  }

  assert {
    condition     = aws_kms_key.this[0].enable_key_rotation && output.kms_key_arn == aws_kms_key.this[0].arn && output.encrypted_by_kms
    error_message = "It has a key of its own, which rotates."
  }
}

run "given_key" {
  command = plan

  variables {
    kms = { create = false, key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab" }
  }

  assert {
    condition     = length(aws_kms_key.this) == 0 && endswith(output.kms_key_arn, "567890ab")
    error_message = "It takes the key that it is given."
  }
}

run "no_key" {
  command = plan

  variables {
    kms = { create = false }
  }

  expect_failures = [var.kms]
}

run "replicated" {
  variables {
    replication = { bucket_arn = "arn:aws:s3:::images-elsewhere" }
  }

  assert {
    condition     = length(aws_s3_bucket_replication_configuration.this) == 1
    error_message = "S3 copies to the other bucket."
  }
}

run "replication_needs_versions" {
  command = plan

  variables {
    versioning  = false
    replication = { bucket_arn = "arn:aws:s3:::images-elsewhere" }
  }

  expect_failures = [aws_s3_bucket_replication_configuration.this]
}

run "replication_needs_a_key_there" {
  command = plan

  variables {
    kms         = {}
    replication = { bucket_arn = "arn:aws:s3:::images-elsewhere" }
  }

  expect_failures = [aws_s3_bucket_replication_configuration.this]
}

run "name_with_dots" {
  command = plan

  variables {
    bucket = "images.example.com"
  }

  expect_failures = [var.bucket]
}

run "uploads_cut_short" {
  command = plan

  variables {
    abort_incomplete_multipart_days = 1
  }

  expect_failures = [var.abort_incomplete_multipart_days]
}
