variable "bucket" {
  description = "The bucket to make. Its name must be free in all of AWS."
  type        = string
}

variable "region" {
  description = "Where the bucket is made, such as eu-west-1."
  type        = string
  default     = "us-east-1"
}

variable "s3_endpoint" {
  description = "URL of an S3 server that is not AWS; null for AWS."
  type        = string
  default     = null
}

variable "admin_password" {
  description = "Password of the first admin, at least 8 characters. It enters neither plan nor state."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "passwords_version" {
  description = "Raise it to give every user a new password."
  type        = number
  default     = 1
}

variable "port" {
  description = "Where the server listens, on 127.0.0.1."
  type        = number
  default     = 5443
}

variable "directory" {
  description = "Where certificate, log and process number of the server are kept."
  type        = string
  default     = ".registry"
}

variable "server" {
  description = "The server's program."
  type        = string
  default     = "registryserver"
}

variable "log_level" {
  description = "debug, info, warn or error. A change starts the server anew."
  type        = string
  default     = "info"
}

variable "first_image" {
  description = "What is copied into the new registry: an image of another registry, or oci:PATH or docker-archive:PATH."
  type        = string
  default     = "docker.io/library/hello-world:latest"
}
