variable "name" {
  description = "Begins the names of the secrets."
  type        = string
  nullable    = false
}

variable "http_secret" {
  description = "An existing secret, whose whole value is the HTTP secret of 32 characters or more; null to have one made."
  type        = object({ arn = string })
  default     = null
}

variable "http_secret_version" {
  description = "Raise it to make a new HTTP secret. Servers accept the one before it as well, so nobody is logged out and no push breaks."
  type        = number
  default     = 1
  nullable    = false
}

variable "admin" {
  description = <<-EOT
    The first admin. `secret` names an existing secret with its `username` and `password` as JSON; without it one is made with a password
    that Terraform never sees again, and `version` raised makes a new one.
  EOT
  type = object({
    username = optional(string, "admin")
    version  = optional(number, 1)
    secret   = optional(object({ arn = string }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", var.admin.username))
    error_message = "admin.username has letters, digits, dots, underscores, at signs and hyphens, and begins with a letter or digit."
  }
}

variable "kms_key_arn" {
  description = "A key of KMS that encrypts the secrets; null for the account's own key of Secrets Manager."
  type        = string
  default     = null
}

variable "recovery_days" {
  description = "For how many days a destroyed secret can be brought back, 7 to 30; 0 removes it at once, and its name is free again."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days is 0, or 7 to 30."
  }
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
  nullable    = false
}
