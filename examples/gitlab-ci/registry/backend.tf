# The bucket and its region are given to `terraform init`. Whoever works on the state holds a lock beside it.
terraform {
  backend "s3" {
    key          = "registry.tfstate"
    use_lockfile = true
    encrypt      = true
  }
}
