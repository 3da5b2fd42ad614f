output "vpc_ids" {
  description = "VPC by region"
  value       = { for region, vpc in aws_vpc.this : region => vpc.id }
}

output "member_cidr_blocks" {
  description = "Address range of the members' hosts, from which they connect, by region"
  value       = local.member_cidr_blocks
}

output "fixed_cidr_blocks" {
  description = "Address range of the members' fixed addresses, at which they are reached, by region"
  value       = local.fixed_cidr_blocks
}

output "service_cidr_blocks" {
  description = "Address ranges of crossbars and sidecars by region"
  value = {
    for region in var.regions : region => [
      for subnet in local.service_subnets : subnet.cidr_block if subnet.region == region
    ]
  }
}

output "member_subnets" {
  description = "Subnets of the members by region: of hosts, of fixed addresses, and the availability zone of both"
  value = {
    for region, subnet in aws_subnet.member : region => {
      host_id           = subnet.id
      fixed_id          = aws_subnet.fixed[region].id
      availability_zone = subnet.availability_zone
    }
  }

  # What starts in a private subnet needs the way out from the first second on.
  depends_on = [aws_route.nat, aws_route_table_association.member, aws_route_table_association.fixed]
}

output "service_subnet_ids" {
  description = "Subnets of crossbars and sidecars by region"
  value = {
    for region in var.regions : region => [
      for key, subnet in local.service_subnets : aws_subnet.service[key].id if subnet.region == region
    ]
  }

  depends_on = [aws_route.nat, aws_route_table_association.service]
}

output "zone_id" {
  description = "Private hosted zone that the three VPCs share"
  value       = aws_route53_zone.this.zone_id
}

output "zone_name" {
  description = "Name of the private hosted zone"
  value       = aws_route53_zone.this.name
}
