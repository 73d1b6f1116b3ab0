variable "name" {
  description = "Begins the names of everything here."
  type        = string
  nullable    = false
}

variable "load_balancer_arn_suffix" {
  description = "What CloudWatch calls the load balancer."
  type        = string
  nullable    = false
}

variable "target_group_arn_suffix" {
  description = "What CloudWatch calls the target group."
  type        = string
  nullable    = false
}

variable "group_name" {
  description = "The Auto Scaling group."
  type        = string
  nullable    = false
}

variable "certificate_arn" {
  description = "The certificate, whose end is watched."
  type        = string
  nullable    = false
}

variable "emails" {
  description = "Who is told. Each gets a mail to confirm first."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "thresholds" {
  description = "When alarms go off: answers of servers with status 5xx in five minutes, seconds to the first byte of 99 of 100 answers, days to the end of the certificate, instances too few, and errors of S3 in five minutes."
  type = object({
    server_errors    = optional(number, 20)
    latency_seconds  = optional(number, 5)
    certificate_days = optional(number, 30)
    instances        = optional(number, 1)
    s3_errors        = optional(number, 50)
  })
  default  = {}
  nullable = false
}

variable "bucket" {
  description = "The bucket, whose errors are watched."
  type        = string
  nullable    = false
}

variable "logs" {
  description = "Whether there is a log group for the servers' logs."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "For how long the servers' logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days is one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731."
  }
}

variable "kms_key_arn" {
  description = "A key of KMS for topic and logs, whose policy lets CloudWatch use it; null for AWS's own."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
  nullable    = false
}
