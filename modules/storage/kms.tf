# Whoever may use it is said by IAM: the account's administrators, and the servers through their role.
data "aws_iam_policy_document" "key" {
  count = local.own_key ? 1 : 0

  statement {
    sid       = "IAMDecides"
    actions   = ["kms:*"]
    resources = ["*"] # of a key's own policy: this key

    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}:root"]
    }
  }
}

resource "aws_kms_key" "this" {
  count = local.own_key ? 1 : 0

  description         = "Images in the bucket ${var.bucket}"
  enable_key_rotation = true
  policy              = data.aws_iam_policy_document.key[0].json
  tags                = var.tags
}

resource "aws_kms_alias" "this" {
  count = local.own_key ? 1 : 0

  name          = "alias/${var.bucket}"
  target_key_id = aws_kms_key.this[0].key_id
}
