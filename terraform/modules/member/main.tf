locals {
  name        = "${var.cluster}-${var.journal}-${var.region}"
  peer_port   = 7400
  client_port = 7401
  # By this tag the host finds its volume and its address again, and may attach nothing else.
  member_tags = { "meridian:member" = "${var.cluster}-${var.journal}-${var.replica}" }

  configuration = merge(
    {
      cluster       = var.cluster
      instance      = var.journal
      replica       = var.replica
      region        = var.region
      dataDirectory = "/var/lib/meridian/${var.journal}"
      listen        = "0.0.0.0:${local.client_port}"
      peerListen    = "0.0.0.0:${local.peer_port}"
      metricsListen = "127.0.0.1:7480"
      tls = {
        certificate = "/etc/meridian/tls/certificate.pem"
        key         = "/etc/meridian/tls/key.pem"
        ca          = "/etc/meridian/tls/ca.pem"
      }
      access = { grants = var.grants }
      peers = [
        for peer in var.peers : { replica = peer.replica, region = peer.region, address = "${peer.address}:${local.peer_port}" }
      ]
    },
    var.witness ? { witness = true } : {},
    var.max_clock_error_ms == null ? {} : { timings = { maxClockErrorMs = var.max_clock_error_ms } },
    var.archive == null ? {} : {
      archive = merge(
        { url = var.archive.url, region = var.region },
        var.archive.local_bytes == null ? {} : { localBytes = var.archive.local_bytes },
        var.archive.sealed ? { keysFile = "/run/meridian-archive/keys" } : {},
      )
    },
  )
}

module "host" {
  source = "../host"

  name    = local.name
  cluster = var.cluster
  region  = var.region
  unit    = "meridian-journal@${var.journal}.service"
  unit_settings = {
    # A blank volume is either a new journal's or a lost one: a person says which (first-start).
    Unit = ["ConditionPathExists=/var/lib/meridian/${var.journal}"]
  }
  artifact     = var.artifact
  archive_keys = try(var.archive.sealed, false)
  files = {
    "/etc/meridian/journal-${var.journal}.yaml" = { content = yamlencode(local.configuration) }
    "/etc/meridian/member.env" = {
      content = <<-EOT
        MEMBER=${local.member_tags["meridian:member"]}
        JOURNAL=${var.journal}
      EOT
    }
    "/usr/local/lib/meridian/setup.d/30-address" = { content = file("${path.module}/files/attach-address.sh"), mode = "0755" }
    "/usr/local/lib/meridian/setup.d/40-volume"  = { content = file("${path.module}/files/attach-volume.sh"), mode = "0755" }
    "/usr/local/lib/meridian/report.d/clock"     = { content = file("${path.module}/files/clock-error.sh"), mode = "0755" }
    "/usr/local/sbin/meridian-first-start"       = { content = file("${path.module}/files/first-start.sh"), mode = "0755" }
  }
  reported_metrics = {
    meridian_journal_serving                 = "min"
    meridian_journal_peer_heard              = "min"
    meridian_journal_watermark_lag_seconds   = "max"
    meridian_journal_archive_backlog_seconds = "max"
  }
  image_id           = var.image_id
  instance_type      = var.instance_type
  subnet_ids         = [var.subnets.host_id]
  security_group_id  = aws_security_group.this.id
  kms_key_arn        = var.kms_key_arn
  size               = { min = 1, max = 1 }
  rolling_update     = false
  policies           = merge({ attach = local.attach_policy }, var.archive == null ? {} : { archive = var.archive.policy })
  log_retention_days = var.log_retention_days
  tags               = var.tags
  instance_tags      = merge(local.member_tags, { "meridian:journal" = "${var.cluster}-${var.journal}" })
}
