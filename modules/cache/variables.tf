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
  description = "Private subnets, of two zones or more."
  type        = list(string)
  nullable    = false
}

variable "client_security_group_id" {
  description = "Whose members may connect: the servers."
  type        = string
  nullable    = false
}

variable "node_type" {
  description = "Size of a node. What is kept are facts about images, not images: the smallest is enough for most."
  type        = string
  default     = "cache.t4g.micro"
  nullable    = false
}

variable "nodes" {
  description = "How many nodes, 1 to 3. What the cache holds can be lost at any time without harm; with two or more it need not be."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.nodes >= 1 && var.nodes <= 3
    error_message = "nodes is 1 to 3."
  }
}

variable "engine" {
  description = "`valkey`, or `redis` where Valkey is not offered."
  type        = string
  default     = "valkey"
  nullable    = false

  validation {
    condition     = contains(["valkey", "redis"], var.engine)
    error_message = "engine is valkey or redis."
  }
}

variable "kms_key_arn" {
  description = "A key of KMS for what is at rest and for the secret; null for the account's own."
  type        = string
  default     = null
}

variable "secret" {
  description = "An existing secret, whose whole value is the password of 16 to 128 characters; null to have one made."
  type        = object({ arn = string })
  default     = null
}

variable "recovery_days" {
  description = "For how many days the destroyed secret can be brought back; 0 removes it at once."
  type        = number
  default     = 7
  nullable    = false
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
  nullable    = false
}
