variable "name" {
  description = "Name of the load balancer, at most 24 characters."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name has 2 to 24 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets of two zones or more: public ones unless `internal`."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "A load balancer needs subnets in at least two availability zones; give two or three subnet_ids, one for each zone."
  }
}

variable "internal" {
  description = "Whether only the VPC, and what is joined to it, can reach the load balancer."
  type        = bool
  default     = false
  nullable    = false
}

variable "allowed_cidrs" {
  description = "Addresses that may connect, such as `[\"198.51.100.7/32\"]` for one of your own. The default is everybody, whom the registry still asks for a password."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for c in var.allowed_cidrs : can(cidrhost(c, 0))])
    error_message = "allowed_cidrs holds ranges such as 198.51.100.7/32, at least one. To let everybody in, say 0.0.0.0/0."
  }
}

variable "certificate_arn" {
  description = "Certificate of ACM, in the region of the load balancer."
  type        = string
  nullable    = false
}

variable "ssl_policy" {
  description = "Which TLS versions and ciphers are offered. The default is TLS 1.2 and 1.3 with forward secrecy; every container client in use speaks it."
  type        = string
  default     = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  nullable    = false
}

variable "target" {
  description = "How instances are spoken to: the `port` and `protocol` (`HTTP` or `HTTPS`) of the server. Over HTTPS the load balancer accepts any certificate of theirs."
  type = object({
    port     = optional(number, 5000)
    protocol = optional(string, "HTTP")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["HTTP", "HTTPS"], var.target.protocol)
    error_message = "target.protocol is HTTP or HTTPS."
  }
}

variable "idle_timeout_seconds" {
  description = "How long a connection may be silent. The end of a push of a very large layer is silent while S3 copies it."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.idle_timeout_seconds >= 60 && var.idle_timeout_seconds <= 4000
    error_message = "idle_timeout_seconds is 60 to 4000."
  }
}

variable "drain_seconds" {
  description = "How long an instance that leaves may finish what it has begun."
  type        = number
  default     = 300
  nullable    = false
}

variable "access_logs" {
  description = "An existing bucket for access logs, which the load balancer may write to; null for none."
  type = object({
    bucket = string
    prefix = optional(string)
  })
  default = null
}

variable "rate_limit" {
  description = "Most requests of one address in five minutes, by AWS WAF, which costs some 6 USD a month; null for no WAF. A node that pulls an image of twenty layers sends about fifty."
  type        = number
  default     = null

  validation {
    condition     = var.rate_limit == null || try(var.rate_limit >= 100, false)
    error_message = "rate_limit is at least 100, which is the least that AWS WAF counts."
  }
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the load balancer. It has to be turned off, and applied, before a destroy."
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
