# A name with a certificate that ACM issues.

provider "aws" {}

variable "zone_id" {
  type = string
}

module "dns" {
  source = "../../../dns"

  domain  = "registry.example.com"
  zone_id = var.zone_id
  alias   = { dns_name = "front.eu-central-1.elb.amazonaws.com", zone_id = "Z215JYRZR1TBD5" }
}
