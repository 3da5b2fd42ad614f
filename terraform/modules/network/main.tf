locals {
  vpc_cidr_blocks = { for index, region in var.regions : region => cidrsubnet(var.cidr_block, 2, index) }

  # Members are in one zone, because a volume lives in one: their hosts in one subnet, their fixed addresses
  # in another, as AWS advises against two interfaces of a host in one. What is stateless has two zones.
  member_cidr_blocks = { for region, block in local.vpc_cidr_blocks : region => cidrsubnet(block, 8, 0) }
  fixed_cidr_blocks  = { for region, block in local.vpc_cidr_blocks : region => cidrsubnet(block, 8, 3) }
  public_cidr_blocks = { for region, block in local.vpc_cidr_blocks : region => cidrsubnet(block, 8, 255) }
  service_subnets = merge([
    for region, block in local.vpc_cidr_blocks : {
      for zone in [0, 1] : "${region}/${zone}" => {
        region     = region
        zone       = zone
        cidr_block = cidrsubnet(block, 8, 1 + zone)
      }
    }
  ]...)
}

data "aws_availability_zones" "this" {
  for_each = toset(var.regions)
  region   = each.key

  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "this" {
  for_each = local.vpc_cidr_blocks
  region   = each.key

  cidr_block           = each.value
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = merge(var.tags, { Name = var.name })
}

# Nothing may rely on the default group: it is emptied.
resource "aws_default_security_group" "this" {
  for_each = aws_vpc.this
  region   = each.key

  vpc_id = each.value.id

  tags = merge(var.tags, { Name = "${var.name}-default-unused" })
}

resource "aws_subnet" "member" {
  for_each = aws_vpc.this
  region   = each.key

  vpc_id                  = each.value.id
  cidr_block              = local.member_cidr_blocks[each.key]
  availability_zone       = data.aws_availability_zones.this[each.key].names[0]
  map_public_ip_on_launch = false

  tags = merge(var.tags, { Name = "${var.name}-member" })
}

resource "aws_subnet" "fixed" {
  for_each = aws_vpc.this
  region   = each.key

  vpc_id                  = each.value.id
  cidr_block              = local.fixed_cidr_blocks[each.key]
  availability_zone       = data.aws_availability_zones.this[each.key].names[0]
  map_public_ip_on_launch = false

  tags = merge(var.tags, { Name = "${var.name}-fixed" })
}

resource "aws_subnet" "service" {
  for_each = local.service_subnets
  region   = each.value.region

  vpc_id                  = aws_vpc.this[each.value.region].id
  cidr_block              = each.value.cidr_block
  availability_zone       = data.aws_availability_zones.this[each.value.region].names[each.value.zone]
  map_public_ip_on_launch = false

  tags = merge(var.tags, { Name = "${var.name}-service-${each.value.zone}" })
}

resource "aws_route_table" "private" {
  for_each = aws_vpc.this
  region   = each.key

  vpc_id = each.value.id

  tags = merge(var.tags, { Name = "${var.name}-private" })
}

resource "aws_route_table_association" "member" {
  for_each = aws_subnet.member
  region   = each.key

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

resource "aws_route_table_association" "fixed" {
  for_each = aws_subnet.fixed
  region   = each.key

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

resource "aws_route_table_association" "service" {
  for_each = local.service_subnets
  region   = each.value.region

  subnet_id      = aws_subnet.service[each.key].id
  route_table_id = aws_route_table.private[each.value.region].id
}
