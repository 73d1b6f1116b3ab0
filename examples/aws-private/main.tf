# A registry that the internet can neither reach nor be reached from: an internal load balancer, and a VPC whose only ways out are the
# endpoints of the services that the servers call. Who plans resources of the registry has to be in a network that reaches it.

module "registry" {
  source = "../../modules/registry"

  name    = var.name
  domain  = var.domain
  zone_id = var.zone_id
  image   = var.image

  internal      = true
  allowed_cidrs = var.clients
  new_network   = { egress = "endpoints" }
  storage       = { kms = {} }

  providers = {
    aws      = aws
    registry = registry.setup
  }
}
