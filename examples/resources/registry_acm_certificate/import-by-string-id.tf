import {
  to = registry_acm_certificate.load_balancer
  id = "arn:aws:acm:eu-central-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
}
