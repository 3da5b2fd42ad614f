# TLS and names come on top of this: only private ranges that are named reach a port, and the peers' port
# is for the subnets of the other members' hosts alone.

resource "aws_security_group" "this" {
  region = var.region

  name        = local.name
  description = "Journal member ${local.name}"
  vpc_id      = var.vpc_id

  tags = merge(var.tags, { Name = local.name })
}

resource "aws_vpc_security_group_ingress_rule" "peer" {
  for_each = { for peer in var.peers : peer.region => peer.cidr_block }
  region   = var.region

  security_group_id = aws_security_group.this.id
  description       = "Replica in ${each.key}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.peer_port
  to_port           = local.peer_port

  tags = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "client" {
  for_each = toset(var.client_cidr_blocks)
  region   = var.region

  security_group_id = aws_security_group.this.id
  description       = "Clients, crossbars and sidecars"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.client_port
  to_port           = local.client_port

  tags = var.tags
}

resource "aws_vpc_security_group_egress_rule" "peer" {
  for_each = { for peer in var.peers : peer.region => "${peer.address}/32" }
  region   = var.region

  security_group_id = aws_security_group.this.id
  description       = "Replica in ${each.key}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.peer_port
  to_port           = local.peer_port

  tags = var.tags
}

resource "aws_vpc_security_group_egress_rule" "https" {
  region = var.region

  security_group_id = aws_security_group.this.id
  description       = "Packages, release, SSM, CloudWatch"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = var.tags
}
