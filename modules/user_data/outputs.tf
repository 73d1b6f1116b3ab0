output "base64" {
  description = "User data of an instance or a launch template: cloud-config, compressed."
  value       = base64gzip(local.text)

  precondition {
    condition     = length(base64gzip(local.text)) / 4 * 3 <= 16384
    error_message = "EC2 takes user data of at most 16 KiB. Put less into config and files."
  }
}

output "text" {
  description = "The same, to be read."
  value       = local.text
}
