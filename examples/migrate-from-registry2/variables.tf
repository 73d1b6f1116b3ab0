variable "region" {
  description = "Region of AWS, such as eu-west-1."
  type        = string
}

variable "name" {
  description = "Begins the names of everything."
  type        = string
  default     = "images"
}

variable "domain" {
  description = "The registry's name, such as registry.example.com."
  type        = string
}

variable "zone_id" {
  description = "The Route 53 hosted zone that the name lies in."
  type        = string
}

variable "image" {
  description = "What instances boot from: an AMI of Debian or Amazon Linux 2023 for each architecture, and where the server's program for it is in S3, with its SHA-256."
  type = object({
    ami_ids = map(string)
    install = map(object({ bucket = string, key = string, sha256 = string }))
  })
}

variable "bucket" {
  description = "The bucket of the old registry: its REGISTRY_STORAGE_S3_BUCKET."
  type        = string
}

variable "root_directory" {
  description = "What the keys in it begin with: the old registry's REGISTRY_STORAGE_S3_ROOTDIRECTORY; null if it had none."
  type        = string
  default     = null
}

variable "bucket_has" {
  description = "What the bucket has already, beside what every bucket has. The defaults are those of a bucket that was made after April 2023 and not configured."
  type = object({
    public_access_block = optional(bool, true)
    ownership_controls  = optional(bool, true)
    lifecycle_rules     = optional(bool, false)
    policy              = optional(bool, false)
  })
  default = {}
}

variable "name_exists" {
  description = "Whether the hosted zone has an A record of the name already, which leads to the old machine."
  type        = bool
  default     = true
}

variable "htpasswd_file" {
  description = "Path of a copy of the old registry's htpasswd file; null for none."
  type        = string
  default     = null
}

variable "pushers" {
  description = "Which of its users may push. The others may pull."
  type        = set(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything. Those that the bucket has and that are not among them are removed."
  type        = map(string)
  default     = {}
}
