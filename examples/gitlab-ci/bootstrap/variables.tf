variable "region" {
  description = "Region of AWS, such as eu-west-1."
  type        = string
}

variable "name" {
  description = "Name of the registry, which begins the names of everything that CI may touch."
  type        = string
  default     = "images"
}

variable "bucket_arn" {
  description = "ARN of the bucket with the images, which need not be there yet: `arn:aws:s3:::images-123456789012-eu-west-1` unless the registry is told otherwise."
  type        = string
}

variable "project" {
  description = "The project on GitLab, such as `example/infrastructure`."
  type        = string
}

variable "gitlab_url" {
  description = "Address of GitLab."
  type        = string
  default     = "https://gitlab.com"
}
