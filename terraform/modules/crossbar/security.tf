# TLS and names come on top of this: private ranges that are named, and nothing else.

resource "aws_security_group" "balancer" {
  region = var.region

  name        = "${local.name}-balancer"
  description = "Load balancer of the crossbars"
  vpc_id      = var.vpc_id

  tags = merge(var.tags, { Name = "${local.name}-balancer" })
}

resource "aws_vpc_security_group_ingress_rule" "client" {
  for_each = toset(var.client_cidr_blocks)
  region   = var.region

  security_group_id = aws_security_group.balancer.id
  description       = "Subscribers"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.port
  to_port           = local.port

  tags = var.tags
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  for_each = { subscribers = local.port, health = local.health_port }
  region   = var.region

  security_group_id            = aws_security_group.balancer.id
  description                  = "Crossbars: ${each.key}"
  referenced_security_group_id = aws_security_group.host.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value

  tags = var.tags
}

resource "aws_security_group" "host" {
  region = var.region

  name        = local.name
  description = "Crossbars"
  vpc_id      = var.vpc_id

  tags = merge(var.tags, { Name = local.name })
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each = { subscribers = local.port, health = local.health_port }
  region   = var.region

  security_group_id            = aws_security_group.host.id
  description                  = "Load balancer: ${each.key}"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value

  tags = var.tags
}

resource "aws_vpc_security_group_egress_rule" "member" {
  for_each = toset(var.member_cidr_blocks)
  region   = var.region

  security_group_id = aws_security_group.host.id
  description       = "Journal members"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.client_port
  to_port           = local.client_port

  tags = var.tags
}

resource "aws_vpc_security_group_egress_rule" "https" {
  region = var.region

  security_group_id = aws_security_group.host.id
  description       = "Packages, release, SSM, CloudWatch"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = var.tags
}
