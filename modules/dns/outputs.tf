output "certificate_arn" {
  description = "The certificate, once it is issued."
  value       = local.issue ? aws_acm_certificate_validation.this[0].certificate_arn : var.certificate.arn
}

output "fqdn" {
  description = "The name, once it leads to the load balancer."
  value       = var.domain
  depends_on  = [aws_route53_record.alias]
}
