# What there is already. The plan shows what becomes of it: changes in place, nothing destroyed and nothing made anew. Once applied, this
# file says nothing any more and can go.

import {
  to = module.registry.module.storage.aws_s3_bucket.this
  id = var.bucket
}

# Every bucket has these two, whether anybody set them or not.

import {
  to = module.registry.module.storage.aws_s3_bucket_versioning.this
  id = var.bucket
}

import {
  to = module.registry.module.storage.aws_s3_bucket_server_side_encryption_configuration.this
  id = var.bucket
}

# These it may have. Without the import, Terraform would write over them all the same, but the plan would not show what was there.

import {
  for_each = var.bucket_has.public_access_block ? [var.bucket] : []
  to       = module.registry.module.storage.aws_s3_bucket_public_access_block.this
  id       = each.value
}

import {
  for_each = var.bucket_has.ownership_controls ? [var.bucket] : []
  to       = module.registry.module.storage.aws_s3_bucket_ownership_controls.this
  id       = each.value
}

import {
  for_each = var.bucket_has.lifecycle_rules ? [var.bucket] : []
  to       = module.registry.module.storage.aws_s3_bucket_lifecycle_configuration.this
  id       = each.value
}

import {
  for_each = var.bucket_has.policy ? [var.bucket] : []
  to       = module.registry.module.storage.aws_s3_bucket_policy.tls[0]
  id       = each.value
}

# The name, which leads to the old machine so far.
import {
  for_each = var.name_exists ? ["${var.zone_id}_${var.domain}_A"] : []
  to       = module.registry.module.dns.aws_route53_record.alias["A"]
  id       = each.value
}
