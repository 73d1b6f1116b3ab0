variable "name" {
  description = "Begins the names of everything, at most 20 characters."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name has 2 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "domain" {
  description = "The registry's name, such as `registry.example.com`."
  type        = string
  nullable    = false
}

variable "zone_id" {
  description = "The Route 53 hosted zone that the name lies in."
  type        = string
  nullable    = false
}

variable "network" {
  description = <<-EOT
    An existing VPC: its `id`, subnets of two zones or more for instances and for the load balancer, and `public_addresses` where the instances'
    subnets lead to an internet gateway. Null makes one; `new_network` says how.
  EOT
  type = object({
    id                       = string
    instance_subnet_ids      = list(string)
    load_balancer_subnet_ids = list(string)
    public_addresses         = optional(bool, false)
  })
  default = null
}

variable "new_network" {
  description = "The VPC that is made where `network` is null: its addresses, zones and `egress`, as in module network."
  type = object({
    cidr   = optional(string, "10.0.0.0/16")
    zones  = optional(number, 2)
    egress = optional(string, "nat")
  })
  default  = {}
  nullable = false
}

variable "admin_secret" {
  description = "An existing secret with the first admin's `username` and `password` as JSON; null to have one made, with a password that nobody has seen."
  type        = object({ arn = string })
  default     = null
}

variable "http_secret" {
  description = "An existing secret, whose whole value is the HTTP secret; null to have one made."
  type        = object({ arn = string })
  default     = null
}

variable "image" {
  description = "What instances boot from, by architecture, as in module cluster."
  type = object({
    ami_ids = map(string)
    install = optional(map(object({
      bucket   = string
      key      = string
      sha256   = string
      region   = optional(string)
      endpoint = optional(string)
    })), {})
  })
  nullable = false
}

variable "capacity" {
  description = "How many instances of which types, as in module cluster."
  type        = any
  default     = {}
  nullable    = false
}

variable "internal" {
  description = "Whether only the VPC, and what is joined to it, can reach the registry."
  type        = bool
  default     = false
  nullable    = false
}

variable "clients_reach_s3" {
  description = "Whether clients of an `internal` registry can reach S3 themselves, so that they get layers straight from there. Those on a VPN cannot use the VPC's gateway to S3."
  type        = bool
  default     = false
  nullable    = false
}

variable "allowed_cidrs" {
  description = "Addresses that may connect, such as `[\"198.51.100.7/32\"]` for your own."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false
}

variable "storage" {
  description = "The bucket, as in module storage: its name (by default the registry's, the account and the region), encryption, versions, replication, and whether a destroy takes the images with it. `root_directory` is what the keys in it begin with, where another registry has left them so."
  type = object({
    bucket                  = optional(string)
    root_directory          = optional(string)
    kms                     = optional(object({ create = optional(bool, true), key_arn = optional(string) }))
    versioning              = optional(bool, true)
    noncurrent_days         = optional(number, 30)
    deny_insecure_transport = optional(bool, true)
    access_logs_bucket      = optional(string)
    replication             = optional(object({ bucket_arn = string, kms_key_arn = optional(string) }))
    force_destroy           = optional(bool, false)
    endpoint                = optional(string) # of an S3 server that is not AWS
  })
  default  = {}
  nullable = false
}

variable "cache" {
  description = "A Redis or Valkey beside the servers, as in module cache; null for none. It saves requests to S3 where many servers answer many clients."
  type = object({
    node_type = optional(string, "cache.t4g.micro")
    nodes     = optional(number, 2)
    engine    = optional(string, "valkey")
    secret    = optional(object({ arn = string }))
  })
  default = null
}

variable "load_balancer" {
  description = "Of the load balancer, as in module load_balancer: access logs, the bound for one address, and protection. With `https_targets` it speaks HTTPS to the servers as well, with a certificate that each makes for itself."
  type = object({
    https_targets       = optional(bool, false)
    access_logs         = optional(object({ bucket = string, prefix = optional(string) }))
    rate_limit          = optional(number)
    deletion_protection = optional(bool, false)
  })
  default  = {}
  nullable = false
}

variable "certificate" {
  description = "An existing certificate of ACM for the name; null to have one issued and renewed."
  type        = object({ arn = string })
  default     = null
}

variable "monitoring" {
  description = "Alarms and a dashboard, and who is told; null for none. With `logs`, instances ship the server's log and the system's warnings to CloudWatch Logs, which costs some 0.50 USD for a million requests."
  type = object({
    logs               = optional(bool, true)
    emails             = optional(set(string), [])
    log_retention_days = optional(number, 30)
  })
  default = {}
}

variable "config" {
  description = "More of the server's configuration, section by section, without secrets; what it says wins."
  type        = any
  default     = {}
  nullable    = false
}

variable "secret_recovery_days" {
  description = "For how many days destroyed secrets can be brought back; 0 removes them at once."
  type        = number
  default     = 7
  nullable    = false
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
