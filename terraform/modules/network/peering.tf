# A full mesh: three regions, three peerings, no hub that could fail for two of them at once.

locals {
  pairs = merge([
    for index, requester in var.regions : {
      for accepter in slice(var.regions, index + 1, length(var.regions)) :
      "${requester}/${accepter}" => { requester = requester, accepter = accepter }
    }
  ]...)

  routes = merge([
    for pair, ends in local.pairs : {
      "${ends.requester}->${ends.accepter}" = { from = ends.requester, to = ends.accepter, pair = pair }
      "${ends.accepter}->${ends.requester}" = { from = ends.accepter, to = ends.requester, pair = pair }
    }
  ]...)
}

resource "aws_vpc_peering_connection" "this" {
  for_each = local.pairs
  region   = each.value.requester

  vpc_id      = aws_vpc.this[each.value.requester].id
  peer_vpc_id = aws_vpc.this[each.value.accepter].id
  peer_region = each.value.accepter
  auto_accept = false

  tags = merge(var.tags, { Name = "${var.name}-${each.value.accepter}" })
}

resource "aws_vpc_peering_connection_accepter" "this" {
  for_each = local.pairs
  region   = each.value.accepter

  vpc_peering_connection_id = aws_vpc_peering_connection.this[each.key].id
  auto_accept               = true

  tags = merge(var.tags, { Name = "${var.name}-${each.value.requester}" })
}

resource "aws_route" "peer" {
  for_each = local.routes
  region   = each.value.from

  route_table_id            = aws_route_table.private[each.value.from].id
  destination_cidr_block    = local.vpc_cidr_blocks[each.value.to]
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.this[each.value.pair].vpc_peering_connection_id
}
