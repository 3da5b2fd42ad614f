# The way out, for packages, the release, SSM and CloudWatch. Nothing of the journal's own traffic uses
# it, and nothing comes in: the one public subnet holds the NAT gateway and nothing else.

resource "aws_internet_gateway" "this" {
  for_each = aws_vpc.this
  region   = each.key

  vpc_id = each.value.id

  tags = merge(var.tags, { Name = var.name })
}

resource "aws_subnet" "public" {
  for_each = aws_vpc.this
  region   = each.key

  vpc_id                  = each.value.id
  cidr_block              = local.public_cidr_blocks[each.key]
  availability_zone       = data.aws_availability_zones.this[each.key].names[0]
  map_public_ip_on_launch = false

  tags = merge(var.tags, { Name = "${var.name}-nat" })
}

resource "aws_route_table" "public" {
  for_each = aws_vpc.this
  region   = each.key

  vpc_id = each.value.id

  tags = merge(var.tags, { Name = "${var.name}-nat" })
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public
  region   = each.key

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public[each.key].id
}

resource "aws_route" "internet" {
  for_each = aws_route_table.public
  region   = each.key

  route_table_id         = each.value.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[each.key].id
}

resource "aws_eip" "nat" {
  for_each = aws_vpc.this
  region   = each.key

  domain = "vpc"

  tags = merge(var.tags, { Name = "${var.name}-nat" })
}

resource "aws_nat_gateway" "this" {
  for_each = aws_subnet.public
  region   = each.key

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = each.value.id

  tags = merge(var.tags, { Name = var.name })

  depends_on = [aws_route.internet]
}

resource "aws_route" "nat" {
  for_each = aws_route_table.private
  region   = each.key

  route_table_id         = each.value.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.key].id
}

# Packages of Amazon Linux and releases in a bucket of the same region come past the NAT gateway.
resource "aws_vpc_endpoint" "s3" {
  for_each = aws_vpc.this
  region   = each.key

  vpc_id            = each.value.id
  service_name      = "com.amazonaws.${each.key}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private[each.key].id]

  tags = merge(var.tags, { Name = "${var.name}-s3" })
}
