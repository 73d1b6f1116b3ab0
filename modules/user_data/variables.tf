variable "config" {
  description = "The server's configuration, which becomes `/etc/registry/config.yml`. It holds no secret: user data can be read by every program on the instance, and by whoever may describe the launch template."
  type        = any
  nullable    = false

  validation {
    condition     = !can(regex("(?i)\"(secret|password|secretkey|accesskey|sentinelpassword)\":", jsonencode(var.config)))
    error_message = "config holds a secret (a key named secret, password or the like), and user data is no place for one. Put it into Secrets Manager and name it below aws.secrets."
  }
}

variable "install" {
  description = "Where a stock machine image finds the server: an object in S3 and its SHA-256, in hex. Null for the image that has it already."
  type = object({
    bucket = string
    key    = string
    sha256 = string
    region = string
    # Of an S3 server that is not AWS.
    endpoint = optional(string)
  })
  default = null

  validation {
    condition     = var.install == null || can(regex("^[0-9a-f]{64}$", var.install.sha256))
    error_message = "install.sha256 is the SHA-256 of the program, 64 hexadecimal digits, as sha256sum prints it."
  }
}

variable "files" {
  description = "More files for the instance, by path, such as a CA's certificate. No secrets."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "volume" {
  description = "Id of the EBS volume that images are kept on, attached as `/dev/sdf`; it gets a file system if it has none. Null for none."
  type        = object({ id = string })
  default     = null
}

variable "failures" {
  description = <<-EOT
    Where an instance that cannot start the server leaves the reason: below `prefix` in a bucket. One of an Auto Scaling `group` gives up its launch
    hook at once, and after three instances in a row that did not start it suspends the group's launches. Null for the console alone.
  EOT
  type = object({
    bucket   = string
    region   = string
    prefix   = optional(string, "registrykit/v1/boot/")
    endpoint = optional(string) # of an S3 server that is not AWS
    group    = optional(object({ name = string, launch_hook = string }))
  })
  default = null
}
