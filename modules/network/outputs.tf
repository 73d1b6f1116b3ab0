output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "Subnets that the internet can reach, one for each zone."
  value       = values(aws_subnet.public)[*].id
  depends_on  = [aws_route.internet, aws_route_table_association.public]
}

output "private_subnet_ids" {
  description = "Subnets that the internet cannot reach, one for each zone."
  value       = values(aws_subnet.private)[*].id
  # Whatever is started in them has its way out, and loses it last.
  depends_on = [aws_route.nat, aws_route_table_association.private, aws_vpc_endpoint.s3, aws_vpc_endpoint.interface, aws_vpc_security_group_ingress_rule.endpoints]
}

output "public_cidrs" {
  description = "Addresses of the public subnets."
  value       = values(aws_subnet.public)[*].cidr_block
}

output "private_cidrs" {
  description = "Addresses of the private subnets."
  value       = values(aws_subnet.private)[*].cidr_block
}
