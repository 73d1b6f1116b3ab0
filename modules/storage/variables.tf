variable "bucket" {
  description = "Name of the bucket; it must be free in all of AWS."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits and hyphens, and no dots, which TLS would not match."
  }
}

variable "kms" {
  description = "Encryption by a key of KMS: `{}` makes one for this bucket, `{ create = false, key_arn = … }` takes an existing one. With null, S3 encrypts with keys of its own, at no cost."
  type = object({
    create  = optional(bool, true)
    key_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.kms == null || try(var.kms.create != (var.kms.key_arn != null), false)
    error_message = "kms makes a key, or takes one: give key_arn together with create = false."
  }
}

variable "versioning" {
  description = "Whether S3 keeps what was deleted or written over for `noncurrent_days`, so that it can be brought back. Replication needs it."
  type        = bool
  default     = true
  nullable    = false
}

variable "noncurrent_days" {
  description = "For how many days that is kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days is a whole number from 1."
  }
}

variable "abort_incomplete_multipart_days" {
  description = "After how many days S3 removes the parts of an upload that nobody finished. The server does so much earlier; this is for those that nobody restarts."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.abort_incomplete_multipart_days >= 7
    error_message = "abort_incomplete_multipart_days is at least 7: an upload may lawfully take that long."
  }
}

variable "deny_insecure_transport" {
  description = "Whether the bucket refuses requests without TLS. Turn it off only for an S3 server that does not look at the conditions of a policy, as emulators do."
  type        = bool
  default     = true
  nullable    = false
}

variable "access_logs_bucket" {
  description = "An existing bucket for S3's access logs; null for none."
  type        = string
  default     = null
}

variable "replication" {
  description = <<-EOT
    A bucket of another region that gets a copy of everything: another instance of this module, whose provider is of that region.
    `kms_key_arn` is that bucket's key if it has one of its own. Both buckets need `versioning`.
  EOT
  type = object({
    bucket_arn  = string
    kms_key_arn = optional(string)
  })
  default = null
}

variable "force_destroy" {
  description = "Whether `terraform destroy` removes the bucket with all images in it. Otherwise it stops at a bucket that is not empty. It has to be applied before it counts."
  type        = bool
  default     = false
  nullable    = false
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
  nullable    = false
}
