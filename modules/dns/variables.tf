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
  description = "The Route 53 hosted zone that gets the records of the name."
  type        = string
  nullable    = false
}

variable "validation_zone_id" {
  description = "The public hosted zone in which ACM looks whether the name is yours, where `zone_id` is a private one; null for the same zone."
  type        = string
  default     = null
}

variable "certificate" {
  description = "An existing certificate of ACM for the name, imported or issued; null to have one issued and renewed by ACM."
  type        = object({ arn = string })
  default     = null
}

variable "alias" {
  description = "The load balancer that the name leads to."
  type = object({
    dns_name = string
    zone_id  = string
  })
  nullable = false
}

variable "ipv6" {
  description = "Whether the name has an AAAA record as well; the load balancer has to be dual-stack."
  type        = bool
  default     = false
  nullable    = false
}

variable "caa_issuers" {
  description = "Authorities that may issue certificates for the name (CAA records, RFC 8659); empty for no records. Add the issuer of a `certificate` that ACM did not issue."
  type        = list(string)
  default     = ["amazon.com"]
  nullable    = false
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
  nullable    = false
}
