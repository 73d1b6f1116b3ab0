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
  description = "What the instance boots from: an AMI of Debian or Amazon Linux 2023 for arm64, and where the server's program is in S3, with its SHA-256."
  type = object({
    ami_id  = string
    install = object({ bucket = string, key = string, sha256 = string })
  })
}

variable "email" {
  description = "Whom Let's Encrypt writes to."
  type        = string
}
