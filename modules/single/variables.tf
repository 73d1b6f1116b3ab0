variable "name" {
  description = "Begins the names of everything here."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name has 2 to 24 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "domain" {
  description = "The registry's name, such as `registry.example.com`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain is a full name in lower case, such as registry.example.com, without https:// and without a port."
  }
}

variable "zone_id" {
  description = "The Route 53 hosted zone that gets the record of the name."
  type        = string
  nullable    = false
}

variable "subnet_id" {
  description = "A public subnet; null for one of the account's default VPC."
  type        = string
  default     = null
}

variable "instance_type" {
  description = "Size of the instance."
  type        = string
  default     = "t4g.micro"
  nullable    = false
}

variable "image" {
  description = "What it boots from: the shipped image's `ami_id`; or a stock image of Debian or Amazon Linux 2023, with the server's program in S3 as `install`."
  type = object({
    ami_id = string
    install = optional(object({
      bucket   = string
      key      = string
      sha256   = string
      region   = optional(string)
      endpoint = optional(string)
    }))
  })
  nullable = false
}

variable "allowed_cidrs" {
  description = "Addresses that may connect, such as `[\"198.51.100.7/32\"]` for one of your own. With `certificate = \"acme\"` the authority connects from everywhere, to the same port."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for c in var.allowed_cidrs : can(cidrhost(c, 0))])
    error_message = "allowed_cidrs holds ranges such as 198.51.100.7/32, at least one. To let everybody in, say 0.0.0.0/0."
  }
}

variable "certificate" {
  description = "`acme` for one of Let's Encrypt, which renews itself; `installed` for one that `registry_server_certificate` installs, until when the server is reached with its own."
  type        = string
  default     = "acme"
  nullable    = false

  validation {
    condition     = contains(["acme", "installed"], var.certificate)
    error_message = "certificate is acme or installed."
  }
}

variable "acme_email" {
  description = "Whom the authority writes to; needed for `acme`."
  type        = string
  default     = null
}

variable "storage" {
  description = <<-EOT
    Where images are: in `bucket`, an existing one, with its `name` and `arn`, and its key where it is `encrypted_by_kms`; or, without one, on a
    volume of `volume_gib` that outlives the instance.
  EOT
  type = object({
    bucket = optional(object({
      name             = string
      arn              = string
      kms_key_arn      = optional(string)
      encrypted_by_kms = optional(bool, false) # known before the key is made
    }))
    volume_gib = optional(number, 50)
  })
  default  = {}
  nullable = false
}

variable "admin_secret_arn" {
  description = "Secret with the first admin's `username` and `password` as JSON, as module secrets makes it."
  type        = string
  nullable    = false
}

variable "http_secret_arn" {
  description = "Secret with the HTTP secret, as module secrets makes it."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "For how long CloudWatch Logs keeps the instance's log, which nobody can read on the instance itself; null to ship none."
  type        = number
  default     = 30

  validation {
    condition     = var.log_retention_days == null || contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], coalesce(var.log_retention_days, 0))
    error_message = "log_retention_days is null or one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731."
  }
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
  nullable    = false
}
