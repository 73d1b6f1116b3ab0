# By the ARN of a certificate that was imported into ACM. The next apply sends its key once more.
terraform import registry_acm_certificate.load_balancer arn:aws:acm:eu-central-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab
