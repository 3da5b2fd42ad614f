locals {
  # One line of a chart for every host group or volume, each from its own region.
  charts = [
    {
      title = "Hosts in service"
      lines = [
        for name, host in var.hosts :
        ["AWS/AutoScaling", "GroupInServiceInstances", "AutoScalingGroupName", host.autoscaling_group_name, { region = host.region, label = name }]
      ]
    },
    {
      title = "Errors logged"
      lines = [for name, host in var.hosts : ["Meridian", "${name}-failures", { region = host.region, label = name, stat = "Sum" }]]
    },
    {
      title = "Journals serving"
      lines = [for name, host in local.members : ["Meridian", "meridian_journal_serving", "AutoScalingGroupName", host.autoscaling_group_name, { region = host.region, label = name, stat = "Minimum" }]]
    },
    {
      title = "Watermark lag of journals, s"
      lines = [for name, host in local.members : ["Meridian", "meridian_journal_watermark_lag_seconds", "AutoScalingGroupName", host.autoscaling_group_name, { region = host.region, label = name }]]
    },
    {
      title = "Volume of the log, % used"
      lines = [
        for name, host in local.members :
        ["Meridian", "disk_used_percent", "AutoScalingGroupName", host.autoscaling_group_name, "path", "/var/lib/meridian", { region = host.region, label = name }]
      ]
    },
    {
      title = "Clock error bound, ms"
      lines = [
        for name, host in local.members :
        ["Meridian", "ClockErrorBound", "AutoScalingGroupName", host.autoscaling_group_name, { region = host.region, label = name }]
      ]
    },
    {
      title = "Writes to the log's volume, bytes a minute"
      lines = [for name, volume in var.volumes : ["AWS/EBS", "VolumeWriteBytes", "VolumeId", volume.volume_id, { region = volume.region, label = name, stat = "Sum" }]]
    },
    {
      title = "Writes waiting for the log's volume"
      lines = [for name, volume in var.volumes : ["AWS/EBS", "VolumeQueueLength", "VolumeId", volume.volume_id, { region = volume.region, label = name }]]
    },
    {
      title = "CPU, %"
      lines = [for name, host in var.hosts : ["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", host.autoscaling_group_name, { region = host.region, label = name }]]
    },
    {
      title = "Memory, % used"
      lines = [for name, host in var.hosts : ["Meridian", "mem_used_percent", "AutoScalingGroupName", host.autoscaling_group_name, { region = host.region, label = name }]]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  region = var.region

  dashboard_name = var.cluster
  dashboard_body = jsonencode({
    widgets = [
      for index, chart in local.charts : {
        type   = "metric"
        x      = 12 * (index % 2)
        y      = 6 * floor(index / 2)
        width  = 12
        height = 6
        properties = {
          title   = chart.title
          region  = var.region
          period  = 60
          stat    = "Maximum"
          metrics = chart.lines
        }
      }
    ]
  })
}
