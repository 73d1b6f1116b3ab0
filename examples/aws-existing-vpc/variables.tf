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

variable "vpc" {
  description = "The VPC, its private subnets for the instances and its public ones for the load balancer, of two zones or more."
  type = object({
    id                 = string
    private_subnet_ids = list(string)
    public_subnet_ids  = list(string)
  })
}

variable "my_address" {
  description = "Who may connect, such as 198.51.100.7/32."
  type        = string
}
