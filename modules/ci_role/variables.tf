variable "name" {
  description = "Begins the names of the roles."
  type        = string
  nullable    = false
}

variable "provider_url" {
  description = "Who vouches for jobs: `https://token.actions.githubusercontent.com` for GitHub Actions, `https://gitlab.com` or the address of your own for GitLab."
  type        = string
  default     = "https://token.actions.githubusercontent.com"
  nullable    = false

  validation {
    condition     = startswith(var.provider_url, "https://") && !endswith(var.provider_url, "/")
    error_message = "provider_url begins with https:// and ends without a slash."
  }
}

variable "provider_arn" {
  description = "The account's existing OIDC provider for it; null to make one. An account has at most one for each URL."
  type        = string
  default     = null
}

variable "audience" {
  description = "What jobs' tokens are made out to: `sts.amazonaws.com` for GitHub Actions, the address of GitLab for GitLab unless the job says otherwise."
  type        = string
  default     = "sts.amazonaws.com"
  nullable    = false
}

variable "plan_subjects" {
  description = "Jobs that may plan, as the `sub` of their tokens: `repo:ORG/REPO:pull_request` and `repo:ORG/REPO:ref:refs/heads/main` of GitHub, `project_path:GROUP/PROJECT:ref_type:branch:ref:main` of GitLab."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.plan_subjects) > 0 && !anytrue([for s in var.plan_subjects : strcontains(s, "*")])
    error_message = "plan_subjects names each job exactly; a * would let in jobs that nobody thought of."
  }
}

variable "apply_subjects" {
  description = "Jobs that may apply, best those of an environment that asks a person first: `repo:ORG/REPO:environment:production`."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.apply_subjects) > 0 && !anytrue([for s in var.apply_subjects : strcontains(s, "*") || strcontains(s, "pull_request")])
    error_message = "apply_subjects names each job exactly, and none that a pull request can start: who opens one would own the account."
  }
}

variable "registry_name" {
  description = "The `name` of the registry, which begins the names of what the roles may touch."
  type        = string
  nullable    = false
}

variable "bucket_arn" {
  description = "The bucket with the images."
  type        = string
  nullable    = false
}

variable "state" {
  description = "Where Terraform keeps its state: the bucket's ARN and the key in it."
  type = object({
    bucket_arn = string
    key        = string
  })
  nullable = false
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds both roles; null for none."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
  nullable    = false
}
