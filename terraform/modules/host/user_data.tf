# cloud-init only writes files and starts meridian-setup.service; what can fail for a while (packages,
# the release, a volume that another host still holds) is in its steps, which systemd repeats.

locals {
  library = "/usr/local/lib/meridian"
  log     = "/var/log/meridian/service.log"
  # JSON with certificate, key and ca, each PEM; see the README of the root module.
  certificate_secret = "meridian/${var.cluster}/${var.name}/tls"
  # Lines of id and wrapped key, the same for all hosts that have to do with the archives.
  archive_keys_secret = "meridian/${var.cluster}/archive-keys"

  drop_in = merge(
    {
      Unit = concat(
        ["Requires=meridian-setup.service", "After=meridian-setup.service"],
        lookup(var.unit_settings, "Unit", []),
      )
      Service = concat(
        ["StandardOutput=append:${local.log}", "StandardError=inherit"],
        var.archive_keys ? local.archive_keys_settings : [],
        lookup(var.unit_settings, "Service", []),
      )
    },
  )

  # In memory, of the service's own user, and there for as long as the service is.
  archive_keys_settings = [
    "RuntimeDirectory=meridian-archive",
    "RuntimeDirectoryMode=0700",
    "RuntimeDirectoryPreserve=restart",
    "ExecStartPre=${local.library}/archive-keys",
  ]

  archive_keys_files = {
    "${local.library}/archive-keys" = { mode = "0755", content = file("${path.module}/files/archive-keys.sh") }
  }

  certificate_files = {
    "/etc/systemd/system/meridian-certificates.service" = {
      mode    = "0644"
      content = file("${path.module}/files/meridian-certificates.service")
    }
    "/etc/systemd/system/meridian-certificates.timer" = {
      mode    = "0644"
      content = file("${path.module}/files/meridian-certificates.timer")
    }
    "${local.library}/setup.d/25-certificates" = { mode = "0755", content = file("${path.module}/files/certificates.sh") }
  }

  files = merge(
    {
      "/etc/meridian/setup.env" = {
        mode    = "0644"
        content = <<-EOT
          UNIT=${var.unit}
          ARTIFACT_URL=${var.artifact.url}
          ARTIFACT_SHA256=${var.artifact.sha256}
          HOST_GROUP=${var.name}
          AWS_REGION=${var.region}
          CERTIFICATE_SECRET=${local.certificate_secret}
          ARCHIVE_KEYS_SECRET=${local.archive_keys_secret}
          ARCHIVE_KEYS_CONTEXT=meridian:archive=${var.cluster}
        EOT
      }
      "/etc/systemd/system/meridian-setup.service" = {
        mode    = "0644"
        content = file("${path.module}/files/meridian-setup.service")
      }
      "/etc/systemd/system/${var.unit}.d/aws.conf" = {
        mode    = "0644"
        content = join("\n", [for section in ["Unit", "Service"] : join("\n", concat(["[${section}]"], local.drop_in[section], [""]))])
      }
      "/etc/logrotate.d/meridian" = {
        mode    = "0644"
        content = file("${path.module}/files/logrotate.conf")
      }
      "/etc/systemd/system/meridian-report.service" = {
        mode    = "0644"
        content = file("${path.module}/files/meridian-report.service")
      }
      "/etc/systemd/system/meridian-report.timer" = {
        mode    = "0644"
        content = file("${path.module}/files/meridian-report.timer")
      }
      "/etc/meridian/reported-metrics" = {
        mode    = "0644"
        content = join("", [for name, pick in var.reported_metrics : "${name} ${pick}\n"])
      }
      "/etc/meridian/cloudwatch-agent.json" = {
        mode    = "0644"
        content = jsonencode(local.cloudwatch_agent)
      }
      "${local.library}/setup"               = { mode = "0755", content = file("${path.module}/files/setup.sh") }
      "${local.library}/report"              = { mode = "0755", content = file("${path.module}/files/report.sh") }
      "${local.library}/report.d/metrics"    = { mode = "0755", content = file("${path.module}/files/report-metrics.sh") }
      "${local.library}/setup.d/10-packages" = { mode = "0755", content = file("${path.module}/files/packages.sh") }
      "${local.library}/setup.d/20-release"  = { mode = "0755", content = file("${path.module}/files/release.sh") }
    },
    var.certificates ? local.certificate_files : {},
    var.archive_keys ? local.archive_keys_files : {},
    var.files,
  )

  cloudwatch_agent = {
    agent = { metrics_collection_interval = 60, run_as_user = "root" }
    logs = {
      logs_collected = {
        files = {
          collect_list = [{
            file_path       = local.log
            log_group_name  = aws_cloudwatch_log_group.this.name
            log_stream_name = "{instance_id}"
          }]
        }
      }
    }
    metrics = {
      namespace              = "Meridian"
      append_dimensions      = { AutoScalingGroupName = "$${aws:AutoScalingGroupName}" }
      aggregation_dimensions = [["AutoScalingGroupName"], ["AutoScalingGroupName", "path"]]
      metrics_collected = {
        disk = { measurement = ["used_percent"], resources = ["/", "/var/lib/meridian"], drop_device = true }
        mem  = { measurement = ["used_percent"] }
      }
    }
  }

  user_data = join("\n", ["#cloud-config", yamlencode({
    write_files = [
      for path, file in local.files : { path = path, content = file.content, permissions = file.mode, owner = "root:root" }
    ]
    runcmd = [
      ["systemctl", "daemon-reload"],
      concat(
        ["systemctl", "enable", "--now", "--no-block", "meridian-setup.service", "meridian-report.timer"],
        var.certificates ? ["meridian-certificates.timer"] : [],
      ),
    ]
  })])
}
