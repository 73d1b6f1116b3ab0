# What an instance may do, and no more. A test compares it with what servers ask for.

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
    sid       = "Bucket"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [var.bucket.arn]
  }

  statement {
    sid       = "Images"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
    resources = ["${var.bucket.arn}/*"]
  }

  dynamic "statement" {
    for_each = var.bucket.encrypted_by_kms ? [var.bucket.kms_key_arn] : []

    content {
      sid       = "ImagesKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = length(var.secret_arns) > 0 ? [var.secret_arns] : []

    content {
      sid       = "Secrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = var.secrets_kms_key_arn == null ? [] : [var.secrets_kms_key_arn]

    content {
      sid       = "SecretsKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }

  statement {
    sid       = "OwnGroup"
    actions   = ["autoscaling:CompleteLifecycleAction", "autoscaling:SuspendProcesses"]
    resources = ["arn:${data.aws_partition.this.partition}:autoscaling:${data.aws_region.this.id}:${data.aws_caller_identity.this.account_id}:autoScalingGroup:*:autoScalingGroupName/${local.group}"]
  }

  statement {
    sid       = "BootReport"
    actions   = ["ssm:PutParameter"]
    resources = [aws_ssm_parameter.boot.arn]
  }

  dynamic "statement" {
    for_each = length(var.image.install) > 0 ? [1] : []

    content {
      sid     = "Program"
      actions = ["s3:GetObject"]
      # The whole folder: a refresh that is rolled back starts instances with the program before, which nothing here names any more.
      resources = distinct([for i in values(var.image.install) : "arn:${data.aws_partition.this.partition}:s3:::${i.bucket}/${dirname(i.key) == "." ? i.key : "${dirname(i.key)}/*"}"])
    }
  }

  dynamic "statement" {
    for_each = var.ship_logs ? [var.log_group_arn] : []

    content {
      sid       = "Logs"
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${statement.value}:*"]
    }
  }
}

resource "aws_iam_role" "this" {
  name_prefix          = "${var.name}-"
  description          = "Instances of the registry ${var.name}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "this" {
  name   = "registry"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count = var.session_manager ? 1 : 0

  role       = aws_iam_role.this.name
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "this" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.this.name
  tags        = var.tags
}
