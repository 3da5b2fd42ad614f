output "vpc_ids" {
  description = "VPC by region"
  value       = { for region, vpc in aws_vpc.this : region => vpc.id }
}

output "member_cidr_blocks" {
  description = "Address range of the members by region"
  value       = local.member_cidr_blocks
}

output "fixed_cidr_blocks" {
  description = "Address range from which members get fixed addresses by region"
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
  description = "Subnet and availability zone of the members by region"
  value = {
    for region, subnet in aws_subnet.member : region => {
      id                = subnet.id
      availability_zone = subnet.availability_zone
    }
  }

  # What starts in a private subnet needs the way out from the first second on.
  depends_on = [aws_route.nat, aws_route_table_association.member, aws_ec2_subnet_cidr_reservation.fixed]
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
