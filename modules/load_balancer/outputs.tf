output "dns_name" {
  description = "AWS's own name of the load balancer."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "The hosted zone of that name, for alias records."
  value       = aws_lb.this.zone_id
}

output "arn_suffix" {
  description = "What CloudWatch calls the load balancer."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn" {
  description = "Where instances register, once the load balancer forwards to it."
  value       = aws_lb_target_group.this.arn
  depends_on  = [aws_lb_listener.https]
}

output "target_group_arn_suffix" {
  description = "What CloudWatch calls the target group."
  value       = aws_lb_target_group.this.arn_suffix
}

output "security_group_id" {
  description = "The load balancer's security group, which lets nothing out yet: whoever has the instances adds the rule to them."
  value       = aws_security_group.this.id
}

output "listener_arn" {
  description = "The HTTPS listener, once clients can reach it."
  value       = aws_lb_listener.https.arn
  depends_on  = [aws_vpc_security_group_ingress_rule.https, aws_wafv2_web_acl_association.this]
}
