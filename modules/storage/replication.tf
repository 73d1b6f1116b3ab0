# S3 copies each object to the other bucket, with a role of its own.

locals {
  replicated = var.replication == null ? {} : { this = var.replication }
}

data "aws_iam_policy_document" "replication_trust" {
  for_each = local.replicated

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

data "aws_iam_policy_document" "replication" {
  for_each = local.replicated

  statement {
    sid       = "ReadHere"
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]
  }

  statement {
    sid       = "ReadObjects"
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    resources = ["${aws_s3_bucket.this.arn}/*"]
  }

  statement {
    sid       = "WriteThere"
    actions   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
    resources = ["${each.value.bucket_arn}/*"]
  }

  dynamic "statement" {
    for_each = local.kms ? [local.key_arn] : []

    content {
      sid       = "DecryptHere"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = each.value.kms_key_arn == null ? [] : [each.value.kms_key_arn]

    content {
      sid       = "EncryptThere"
      actions   = ["kms:Encrypt"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "replication" {
  for_each = local.replicated

  name_prefix        = "${substr(var.bucket, 0, 25)}-replication-"
  assume_role_policy = data.aws_iam_policy_document.replication_trust[each.key].json
  tags               = var.tags
}

resource "aws_iam_role_policy" "replication" {
  for_each = local.replicated

  name   = "replication"
  role   = aws_iam_role.replication[each.key].id
  policy = data.aws_iam_policy_document.replication[each.key].json
}

resource "aws_s3_bucket_replication_configuration" "this" {
  for_each = local.replicated

  bucket = aws_s3_bucket.this.id
  role   = aws_iam_role.replication[each.key].arn

  rule {
    id     = "everything"
    status = "Enabled"

    filter {}

    delete_marker_replication {
      status = "Enabled"
    }

    dynamic "source_selection_criteria" {
      for_each = local.kms ? [1] : []

      content {
        sse_kms_encrypted_objects {
          status = "Enabled"
        }
      }
    }

    destination {
      bucket = each.value.bucket_arn

      dynamic "encryption_configuration" {
        for_each = each.value.kms_key_arn == null ? [] : [each.value.kms_key_arn]

        content {
          replica_kms_key_id = encryption_configuration.value
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.versioning
      error_message = "S3 replicates only buckets that keep versions: set versioning = true here, and for the other bucket."
    }
    precondition {
      condition     = !local.kms || each.value.kms_key_arn != null
      error_message = "Objects that a key of KMS encrypts here need one there: set replication.kms_key_arn."
    }
  }

  depends_on = [aws_s3_bucket_versioning.this, aws_iam_role_policy.replication]
}
