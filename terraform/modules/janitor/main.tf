# The one host that may delete in the archives of all regions. It reads and deletes over the network, keeps
# nothing, and nobody reaches it: whoever took it over could delete what is archived, and nothing else.

locals {
  name = "${var.cluster}-janitor-${var.region}"

  configuration = merge(
    {
      cluster       = var.cluster
      archives      = [for archive in var.archives : merge(archive, var.sealed ? { keysFile = "/run/meridian-archive/keys" } : {})]
      trims         = var.rules.trimmed
      unnamedMs     = var.rules.unnamed_days == null ? null : var.rules.unnamed_days * 86400000
      graceMs       = 3600000
      roundMs       = 3600000
      metricsListen = "127.0.0.1:7480"
    },
    var.rules.max_age_days == null ? {} : { retentionMs = var.rules.max_age_days * 86400000 },
    var.rules.max_size_gib == null ? {} : { retentionBytes = var.rules.max_size_gib * 1073741824 },
  )
}

module "host" {
  source = "../host"

  name         = local.name
  cluster      = var.cluster
  region       = var.region
  unit         = "meridian-janitor.service"
  artifact     = var.artifact
  certificates = false
  archive_keys = var.sealed
  files = {
    "/etc/meridian/janitor.yaml" = { content = yamlencode(local.configuration) }
  }
  reported_metrics = {
    meridian_janitor_round_age_seconds = "max"
  }
  image_id           = var.image_id
  instance_type      = var.instance_type
  subnet_ids         = var.subnet_ids
  security_group_id  = aws_security_group.this.id
  kms_key_arn        = var.kms_key_arn
  size               = { min = 1, max = 1 }
  rolling_update     = true
  policies           = { archives = jsonencode({ Version = "2012-10-17", Statement = var.statements }) }
  log_retention_days = var.log_retention_days
  tags               = var.tags
}

resource "aws_security_group" "this" {
  region = var.region

  name        = local.name
  description = "Janitor of the archives of ${var.cluster}"
  vpc_id      = var.vpc_id

  tags = merge(var.tags, { Name = local.name })
}

resource "aws_vpc_security_group_egress_rule" "https" {
  region = var.region

  security_group_id = aws_security_group.this.id
  description       = "Archives, packages, release, SSM, CloudWatch"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = var.tags
}
