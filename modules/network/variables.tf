variable "name" {
  description = "Begins the names of everything here."
  type        = string
  nullable    = false
}

variable "cidr" {
  description = "The addresses of the VPC. Each zone takes two subnets of a sixteenth of them."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) <= 22, false)
    error_message = "cidr is an IPv4 range of /22 or larger, such as 10.0.0.0/16."
  }
}

variable "zones" {
  description = "Over how many availability zones the subnets are spread: 2 or 3. A load balancer needs two."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "zones is 2 or 3."
  }
}

variable "egress" {
  description = <<-EOT
    How instances reach AWS, and the internet for their updates:
    - `nat`: one NAT gateway for all zones.
    - `nat_per_zone`: one in each, so that the loss of a zone takes none of the others with it.
    - `public`: instances have public addresses and no NAT gateway is paid for; their security group lets nobody in but the load balancer.
    - `endpoints`: no way to the internet, only to the services in `interface_endpoints` and to S3.
  EOT
  type        = string
  default     = "nat"
  nullable    = false

  validation {
    condition     = contains(["nat", "nat_per_zone", "public", "endpoints"], var.egress)
    error_message = "egress is nat, nat_per_zone, public or endpoints."
  }
}

variable "interface_endpoints" {
  description = "Services that are reached inside the VPC, such as `secretsmanager`. Each costs some 7 USD a month in each zone. S3 needs none: its gateway is always there and free."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
  nullable    = false
}
