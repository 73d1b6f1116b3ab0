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

variable "clients" {
  description = "Addresses of those who use it, in networks that reach the VPC."
  type        = list(string)
  default     = ["10.0.0.0/8"]
}
