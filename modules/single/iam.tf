data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.${data.aws_partition.this.dns_suffix}"]
    }
  }
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.http_secret_arn, var.admin_secret_arn]
  }

  dynamic "statement" {
    for_each = local.in_bucket ? [var.storage.bucket.arn] : []

    content {
      sid       = "Bucket"
      actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = local.in_bucket ? [var.storage.bucket.arn] : []

    content {
      sid       = "Images"
      actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
      resources = ["${statement.value}/*"]
    }
  }

  dynamic "statement" {
    for_each = local.by_kms ? [var.storage.bucket.kms_key_arn] : []

    content {
      sid       = "ImagesKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.image.install == null ? [] : [var.image.install]

    content {
      sid       = "Program"
      actions   = ["s3:GetObject"]
      resources = ["arn:${data.aws_partition.this.partition}:s3:::${statement.value.bucket}/${statement.value.key}"]
    }
  }

  dynamic "statement" {
    for_each = aws_cloudwatch_log_group.this

    content {
      sid       = "Logs"
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${statement.value.arn}:*"]
    }
  }
}

resource "aws_iam_role" "this" {
  name_prefix        = "${var.name}-"
  description        = "Instance of the registry ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "this" {
  name   = "registry"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_iam_instance_profile" "this" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.this.name
  tags        = var.tags
}
