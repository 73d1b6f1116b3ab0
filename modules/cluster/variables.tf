variable "name" {
  description = "Begins the names of everything here, at most 24 characters."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets that instances are spread over, one for each zone."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Give subnets of at least two availability zones, so that the loss of one leaves the registry up."
  }
}

variable "public_addresses" {
  description = "Whether instances get public addresses: for subnets whose way out is an internet gateway."
  type        = bool
  default     = false
  nullable    = false
}

variable "load_balancer" {
  description = "Where instances register, and whose members may connect to them. `resource_label` is what CloudWatch calls both: the ARN suffixes of load balancer and target group, with a slash between."
  type = object({
    target_group_arn  = string
    security_group_id = string
    resource_label    = string
    port              = optional(number, 5000)
  })
  nullable = false
}

variable "image" {
  description = <<-EOT
    What instances boot from. The shipped image has the server: give its `ami_id`. A stock image of Debian or Amazon Linux 2023 gets it from S3
    at its first boot: give `install` with the object of each architecture and its SHA-256 as well. `ami_ids` and `install` go by architecture,
    `arm64` or `x86_64`. Keep the programs of all releases in one folder, such as `programs/`, which instances may read: a refresh that fails
    goes back to the program before.
  EOT
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

  validation {
    condition     = length(var.image.ami_ids) > 0 && alltrue([for a in keys(var.image.ami_ids) : contains(["arm64", "x86_64"], a)])
    error_message = "image.ami_ids names an AMI for arm64, for x86_64, or for both: { arm64 = \"ami-…\" }."
  }
  validation {
    condition     = length(var.image.install) == 0 || alltrue([for a in keys(var.image.ami_ids) : contains(keys(var.image.install), a)])
    error_message = "image.install needs a program for each architecture in image.ami_ids."
  }
}

variable "capacity" {
  description = <<-EOT
    How many instances of which types. The first type is preferred; more of them, also of another architecture, make it likelier that there is capacity.
    `on_demand` instances are never spot ones, and `spot` says whether those above that number are. Instances are added when each answers more than
    `requests_per_target` a minute, or when they are busier than `cpu_percent`. An apply waits `wait_minutes` for the first of them; 0 leaves that
    to the registry's provider, which also knows why an instance does not start (`boot_reports`). With `check_quota` a plan asks Service Quotas
    whether the account may run so many, and warns if not.
  EOT
  type = object({
    instance_types      = optional(list(string), ["t4g.small", "t4g.medium"])
    min                 = optional(number, 2)
    max                 = optional(number, 6)
    spot                = optional(bool, false)
    on_demand           = optional(number, 1)
    requests_per_target = optional(number, 3000)
    cpu_percent         = optional(number, 60)
    wait_minutes        = optional(number, 0)
    check_quota         = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.capacity.min >= 1 && var.capacity.max > var.capacity.min
    error_message = "capacity.max has to be larger than capacity.min: a refresh starts a new instance before an old one ends."
  }
  validation {
    condition     = length(var.capacity.instance_types) > 0
    error_message = "capacity.instance_types names at least one type, such as t4g.small."
  }
}

variable "config" {
  description = "The server's configuration, without secrets."
  type        = any
  nullable    = false
}

variable "bucket" {
  description = "Where images are: the bucket and, if it has one of its own, its key of KMS (`encrypted_by_kms` has to be known before the key may be)."
  type = object({
    arn              = string
    kms_key_arn      = optional(string)
    encrypted_by_kms = optional(bool, false)
  })
  nullable = false
}

variable "secret_arns" {
  description = "Secrets that the server reads."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "secrets_kms_key_arn" {
  description = "The key of KMS that encrypts them, if it is not the account's own; null for that."
  type        = string
  default     = null
}

variable "drain_seconds" {
  description = "How long an instance that leaves may finish what it has begun."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.drain_seconds >= 30 && var.drain_seconds <= 840
    error_message = "drain_seconds is 30 to 840."
  }
}

variable "root_volume_gib" {
  description = "Size of the disk of an instance. Images are in S3: it holds the system and its logs."
  type        = number
  default     = 8
  nullable    = false
}

variable "session_manager" {
  description = "Whether administrators may open a shell by AWS Systems Manager, which the image has to have an agent for. There is no SSH."
  type        = bool
  default     = false
  nullable    = false
}

variable "log_group_arn" {
  description = "The log group that instances ship their logs to; null for none."
  type        = string
  default     = null
}

variable "ship_logs" {
  description = "Whether there is such a group; it has to be known before the ARN may be."
  type        = bool
  default     = false
  nullable    = false
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the instances' role; null for none."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything here, instances and volumes included."
  type        = map(string)
  default     = {}
  nullable    = false
}
