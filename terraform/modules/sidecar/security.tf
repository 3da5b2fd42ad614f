# TLS and names come on top of this: private ranges that are named.

locals {
  egress = merge(
    { for block in var.member_cidr_blocks : "member ${block}" => { cidr_block = block, port = local.client_port } },
    local.applies ? {
      for block in var.crossbar_cidr_blocks : "crossbar ${block}" => { cidr_block = block, port = local.crossbar_port }
    } : {},
    { for block in var.postgres.cidr_blocks : "postgres ${block}" => { cidr_block = block, port = var.postgres.port } },
    { "https for packages, release, secret, SSM, CloudWatch" = { cidr_block = "0.0.0.0/0", port = 443 } },
  )
}

resource "aws_security_group" "this" {
  region = var.region

  name        = local.host_name
  description = "Sidecar ${var.name}"
  vpc_id      = var.vpc_id

  tags = merge(var.tags, { Name = local.host_name })
}

resource "aws_vpc_security_group_ingress_rule" "client" {
  for_each = toset(var.client_cidr_blocks)
  region   = var.region

  security_group_id = aws_security_group.this.id
  description       = "Linearizable reads"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.port
  to_port           = local.port

  tags = var.tags
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = local.egress
  region   = var.region

  security_group_id = aws_security_group.this.id
  description       = each.key
  cidr_ipv4         = each.value.cidr_block
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port

  tags = var.tags
}
