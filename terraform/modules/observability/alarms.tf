# One alarm for each way in which somebody has to get up. What the services say themselves is read out
# of their logs; a missing metric is a breach wherever silence is the fault.

locals {
  # What the hosts report of their services' own metrics (reported_metrics of the host module).
  reported = {
    journal = {
      serving   = { metric = "meridian_journal_serving", comparison = "LessThanThreshold", threshold = 1, missing = "breaching", text = "takes no appends and reads" }
      peers     = { metric = "meridian_journal_peer_heard", comparison = "LessThanThreshold", threshold = 1, missing = "notBreaching", text = "does not hear one of the other regions directly" }
      watermark = { metric = "meridian_journal_watermark_lag_seconds", comparison = "GreaterThanThreshold", threshold = 30, missing = "notBreaching", text = "releases nothing new" }
      archive   = { metric = "meridian_journal_archive_backlog_seconds", comparison = "GreaterThanThreshold", threshold = 1800, missing = "notBreaching", text = "does not archive what it released, and its log grows: libs/telemetry/runbooks/archive-backlog.md" }
    }
    crossbar = {
      ready     = { metric = "meridian_crossbar_ready", comparison = "LessThanThreshold", threshold = 1, missing = "breaching", text = "does not follow every journal" }
      watermark = { metric = "meridian_crossbar_watermark_lag_seconds", comparison = "GreaterThanThreshold", threshold = 30, missing = "notBreaching", text = "the merged order stands still" }
    }
    janitor = {
      round = { metric = "meridian_janitor_round_age_seconds", comparison = "GreaterThanThreshold", threshold = 93600, missing = "breaching", text = "has not got through every archive for a day: libs/telemetry/runbooks/janitor-idle.md" }
    }
    ship  = {}
    apply = { lag = { metric = "meridian_sidecar_apply_lag_seconds", comparison = "GreaterThanThreshold", threshold = 60, missing = "breaching", text = "the database is behind the journal" } }
  }

  members = { for name, host in var.hosts : name => host if host.service == "journal" }

  alarms = merge(
    {
      for name, host in var.hosts : "${name}-hosts" => {
        region      = host.region
        description = "${name}: fewer than ${host.min_size} hosts in service"
        namespace   = "AWS/AutoScaling"
        metric      = "GroupInServiceInstances"
        dimensions  = { AutoScalingGroupName = host.autoscaling_group_name }
        statistic   = "Minimum"
        comparison  = "LessThanThreshold"
        threshold   = host.min_size
        minutes     = 5
        missing     = "breaching"
      }
    },
    {
      for name, host in var.hosts : "${name}-failures" => {
        region      = host.region
        description = "${name}: the service logged an error or ended for good"
        namespace   = "Meridian"
        metric      = "${name}-failures"
        dimensions  = {}
        statistic   = "Sum"
        comparison  = "GreaterThanThreshold"
        threshold   = 0
        minutes     = 1
        missing     = "notBreaching"
      }
    },
    merge([
      for name, host in var.hosts : {
        for key, alarm in local.reported[host.service] : "${name}-${key}" => {
          region      = host.region
          description = "${name}: ${alarm.text}"
          namespace   = "Meridian"
          metric      = alarm.metric
          dimensions  = { AutoScalingGroupName = host.autoscaling_group_name }
          statistic   = alarm.comparison == "LessThanThreshold" ? "Minimum" : "Maximum"
          comparison  = alarm.comparison
          threshold   = alarm.threshold
          minutes     = 3
          missing     = alarm.missing
        }
      }
    ]...),
    {
      for name, host in local.members : "${name}-disk" => {
        region      = host.region
        description = "${name}: the volume of the log is more than 80 % full; archive or trim, or enlarge it"
        namespace   = "Meridian"
        metric      = "disk_used_percent"
        dimensions  = { AutoScalingGroupName = host.autoscaling_group_name, path = "/var/lib/meridian" }
        statistic   = "Maximum"
        comparison  = "GreaterThanThreshold"
        threshold   = 80
        minutes     = 5
        missing     = "breaching"
      }
    },
    {
      for name, host in local.members : "${name}-clock" => {
        region      = host.region
        description = "${name}: the clock may be wrong by more than ${var.clock_error_alarm_ms} ms, or nobody knows"
        namespace   = "Meridian"
        metric      = "ClockErrorBound"
        dimensions  = { AutoScalingGroupName = host.autoscaling_group_name }
        statistic   = "Maximum"
        comparison  = "GreaterThanThreshold"
        threshold   = var.clock_error_alarm_ms
        minutes     = 5
        missing     = "breaching"
      }
    },
    {
      for name, volume in var.volumes : "${name}-volume-stalled" => {
        region      = volume.region
        description = "${name}: EBS does not complete writes; the other two regions go on"
        namespace   = "AWS/EBS"
        metric      = "VolumeStalledIOCheck"
        dimensions  = { VolumeId = volume.volume_id }
        statistic   = "Maximum"
        comparison  = "GreaterThanThreshold"
        threshold   = 0
        minutes     = 1
        missing     = "notBreaching"
      }
    },
  )
}

resource "aws_cloudwatch_log_metric_filter" "failures" {
  for_each = var.hosts
  region   = each.value.region

  name           = "failures"
  log_group_name = each.value.log_group_name
  pattern        = "{ ($.level = \"error\") || ($.level = \"fatal\") }"

  metric_transformation {
    namespace     = "Meridian"
    name          = "${each.key}-failures"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms
  region   = each.value.region

  alarm_name          = each.key
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = lookup(var.alarm_actions, each.value.region, [])
  ok_actions          = lookup(var.alarm_actions, each.value.region, [])

  tags = var.tags
}
