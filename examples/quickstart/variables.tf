variable "endpoint" {
  description = "Address of the registry."
  type        = string
  default     = null
}

variable "username" {
  description = "Name of the first admin."
  type        = string
  default     = null
}

variable "password" {
  description = "Password of the first admin."
  type        = string
  sensitive   = true
  ephemeral   = true
  default     = null
}

variable "passwords" {
  description = "Passwords of the users operator, ci and reader. A user without one gets a random one."
  type        = map(string)
  sensitive   = true
  default     = {}
}

# Random passwords, made once and kept in the state. They keep this example free of other providers; elsewhere take an
# ephemeral random_password or your secret store, and password_wo in registry_user, which keeps them out of the state.
resource "terraform_data" "operator_password" {
  input = sensitive(uuid())
  lifecycle { ignore_changes = [input] }
}

resource "terraform_data" "ci_password" {
  input = sensitive(uuid())
  lifecycle { ignore_changes = [input] }
}

resource "terraform_data" "reader_password" {
  input = sensitive(uuid())
  lifecycle { ignore_changes = [input] }
}
