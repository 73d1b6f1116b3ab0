output "address" {
  description = "Where the cache answers, with TLS: host and port."
  value       = "${aws_elasticache_replication_group.this.primary_endpoint_address}:6379"
  depends_on  = [aws_vpc_security_group_ingress_rule.servers]
}

output "secret_arn" {
  description = "Where its password is."
  value       = local.secret_arn
}
