data "aws_partition" "this" {}

data "aws_caller_identity" "this" {}

locals {
  issuer       = trimprefix(var.provider_url, "https://")
  provider_arn = var.provider_arn == null ? aws_iam_openid_connect_provider.this[0].arn : var.provider_arn
  account      = data.aws_caller_identity.this.account_id
  partition    = data.aws_partition.this.partition
  roles        = { plan = var.plan_subjects, apply = var.apply_subjects }
}

resource "aws_iam_openid_connect_provider" "this" {
  count = var.provider_arn == null ? 1 : 0

  url            = var.provider_url
  client_id_list = [var.audience]
  tags           = var.tags
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = [var.audience]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = each.value
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name                 = "${var.name}-${each.key}"
  description          = "CI that ${each.key == "plan" ? "plans" : "applies"} the registry ${var.registry_name}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  permissions_boundary = var.permissions_boundary
  max_session_duration = 3600
  tags                 = var.tags
}

# Both read all that the modules make, and the state; who plans locks it, too.
data "aws_iam_policy_document" "plan" {
  statement {
    sid = "Look"
    actions = [
      "acm:DescribeCertificate", "acm:ListTagsForCertificate",
      "autoscaling:Describe*",
      "cloudwatch:DescribeAlarms", "cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource",
      "ec2:Describe*",
      "elasticache:Describe*", "elasticache:ListTagsForResource",
      "elasticloadbalancing:Describe*",
      "iam:GetOpenIDConnectProvider",
      "kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListResourceTags",
      "logs:DescribeLogGroups", "logs:DescribeMetricFilters", "logs:ListTagsForResource",
      "route53:GetChange", "route53:GetHostedZone", "route53:ListHostedZones", "route53:ListResourceRecordSets", "route53:ListTagsForResource",
      "servicequotas:GetAWSDefaultServiceQuota", "servicequotas:GetServiceQuota",
      "sns:GetSubscriptionAttributes", "sns:GetTopicAttributes", "sns:ListTagsForResource",
      "wafv2:GetWebACL", "wafv2:GetWebACLForResource", "wafv2:ListTagsForResource",
    ]
    resources = ["*"] # most of these know no narrower one
  }

  statement {
    sid       = "LookAtRoles"
    actions   = ["iam:GetInstanceProfile", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/${var.registry_name}-*", "arn:${local.partition}:iam::${local.account}:instance-profile/${var.registry_name}-*"]
  }

  statement {
    sid       = "LookAtBucket"
    actions   = ["s3:GetAccelerateConfiguration", "s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:GetMetricsConfiguration", "s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [var.bucket_arn]
  }

  statement {
    sid       = "LookAtSecrets"
    actions   = ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy", "secretsmanager:GetSecretValue"]
    resources = ["arn:${local.partition}:secretsmanager:*:${local.account}:secret:${var.registry_name}-*"]
  }

  # The generator of passwords, which runs on every plan and keeps nothing.
  statement {
    sid       = "RandomPasswords"
    actions   = ["secretsmanager:GetRandomPassword"]
    resources = ["*"]
  }

  statement {
    sid       = "State"
    actions   = ["s3:GetObject"]
    resources = ["${var.state.bucket_arn}/${var.state.key}"]
  }

  statement {
    sid       = "StateList"
    actions   = ["s3:ListBucket"]
    resources = [var.state.bucket_arn]
  }

  statement {
    sid       = "StateLock"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${var.state.bucket_arn}/${var.state.key}.tflock"]
  }
}

data "aws_iam_policy_document" "apply" {
  source_policy_documents = [data.aws_iam_policy_document.plan.json]

  statement {
    sid = "Make"
    actions = [
      "acm:*Certificate*", "autoscaling:*", "cloudwatch:*", "ec2:*", "elasticache:*", "elasticloadbalancing:*", "kms:*", "logs:*", "route53:ChangeResourceRecordSets",
      "route53:ChangeTagsForResource", "sns:*", "wafv2:*",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = ["${var.state.bucket_arn}/${var.state.key}"]
  }

  statement {
    sid       = "MakeBucket"
    actions   = ["s3:*Bucket*", "s3:DeleteObject*", "s3:ListBucketVersions", "s3:Put*Configuration"]
    resources = [var.bucket_arn, "${var.bucket_arn}/*"]
  }

  statement {
    sid       = "MakeSecrets"
    actions   = ["secretsmanager:*"]
    resources = ["arn:${local.partition}:secretsmanager:*:${local.account}:secret:${var.registry_name}-*"]
  }

  # Roles of the registry and no others, so that nobody gets more rights than the role itself has by making another.
  statement {
    sid = "MakeRoles"
    actions = [
      "iam:AddRoleToInstanceProfile", "iam:AttachRolePolicy", "iam:CreateInstanceProfile", "iam:CreateRole", "iam:DeleteInstanceProfile", "iam:DeleteRole", "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy", "iam:PutRolePolicy", "iam:RemoveRoleFromInstanceProfile", "iam:TagInstanceProfile", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
    ]
    resources = ["arn:${local.partition}:iam::${local.account}:role/${var.registry_name}-*", "arn:${local.partition}:iam::${local.account}:instance-profile/${var.registry_name}-*"]
  }

  statement {
    sid       = "GiveRolesToInstances"
    actions   = ["iam:PassRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/${var.registry_name}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ec2.${data.aws_partition.this.dns_suffix}", "s3.amazonaws.com"]
    }
  }

  statement {
    sid       = "ServiceRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = ["autoscaling.amazonaws.com", "elasticache.amazonaws.com", "elasticloadbalancing.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "this" {
  for_each = { plan = data.aws_iam_policy_document.plan.json, apply = data.aws_iam_policy_document.apply.json }

  name   = each.key
  role   = aws_iam_role.this[each.key].id
  policy = each.value
}
