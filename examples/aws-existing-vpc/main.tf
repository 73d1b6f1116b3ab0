# A registry in a VPC that is there already, for one's own address, with a cache beside the servers and alarms by mail.

module "registry" {
  source = "../../modules/registry"

  name    = var.name
  domain  = var.domain
  zone_id = var.zone_id
  image   = var.image

  network = {
    id                       = var.vpc.id
    instance_subnet_ids      = var.vpc.private_subnet_ids
    load_balancer_subnet_ids = var.vpc.public_subnet_ids
  }
  allowed_cidrs = [var.my_address]
  cache         = {}
  capacity      = { min = 2, max = 10, spot = true, instance_types = ["t4g.medium", "t4g.large", "m7g.medium"] }

  providers = {
    aws      = aws
    registry = registry.setup
  }
}
