locals {
  name        = "${var.cluster}-crossbar-${var.region}"
  port        = 7600
  client_port = 7401
  health_port = 7480

  configuration = {
    cluster       = var.cluster
    region        = var.region
    listen        = "0.0.0.0:${local.port}"
    metricsListen = "0.0.0.0:${local.health_port}"
    tls = {
      certificate = "/etc/meridian/tls/certificate.pem"
      key         = "/etc/meridian/tls/key.pem"
      ca          = "/etc/meridian/tls/ca.pem"
    }
    access = { grants = var.grants }
    instances = [
      for name, journal in var.journals : { name = name, number = journal.number, replicas = journal.replicas } if !journal.joined
    ]
    joined = [
      for name, journal in var.journals : { name = name, number = journal.number, replicas = journal.replicas } if journal.joined
    ]
  }
}

module "host" {
  source = "../host"

  name     = local.name
  cluster  = var.cluster
  region   = var.region
  unit     = "meridian-crossbar.service"
  artifact = var.artifact
  files = {
    "/etc/meridian/crossbar.yaml" = { content = yamlencode(local.configuration) }
  }
  reported_metrics = {
    meridian_crossbar_ready                 = "min"
    meridian_crossbar_watermark_lag_seconds = "max"
  }
  image_id           = var.image_id
  instance_type      = var.instance_type
  subnet_ids         = var.subnet_ids
  security_group_id  = aws_security_group.host.id
  kms_key_arn        = var.kms_key_arn
  size               = var.size
  target_group_arns  = [aws_lb_target_group.this.arn]
  rolling_update     = true
  log_retention_days = var.log_retention_days
  tags               = var.tags
}

resource "aws_lb" "this" {
  region = var.region

  name_prefix                      = "mcrb-"
  internal                         = true
  load_balancer_type               = "network"
  subnets                          = var.subnet_ids
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true

  tags = merge(var.tags, { Name = local.name })
}

resource "aws_lb_target_group" "this" {
  region = var.region

  name_prefix          = "mcrb-"
  vpc_id               = var.vpc_id
  port                 = local.port
  protocol             = "TCP"
  deregistration_delay = 30

  # livez and not readyz: a crossbar that waits for a journal is well, and replacing it would not help.
  health_check {
    protocol            = "HTTP"
    port                = local.health_port
    path                = "/livez"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  tags = merge(var.tags, { Name = local.name })
}

resource "aws_lb_listener" "this" {
  region = var.region

  load_balancer_arn = aws_lb.this.arn
  port              = local.port
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }

  tags = var.tags
}

resource "aws_route53_record" "this" {
  zone_id = var.zone.id
  name    = "crossbar.${var.region}.${var.zone.name}"
  type    = "A"

  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = false
  }
}
