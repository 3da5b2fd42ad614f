resource "aws_launch_template" "this" {
  region = var.region

  name                   = var.name
  description            = "Meridian ${var.unit}"
  image_id               = var.image_id
  instance_type          = var.instance_type
  user_data              = base64gzip(local.user_data)
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [var.security_group_id]
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 20
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.tags, var.instance_tags, { Name = var.name })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.tags, { Name = "${var.name}-root" })
  }

  tags = var.tags
}

resource "aws_autoscaling_group" "this" {
  region = var.region

  name                      = var.name
  min_size                  = var.size.min
  max_size                  = var.size.max
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = var.target_group_arns
  health_check_type         = length(var.target_group_arns) > 0 ? "ELB" : "EC2"
  health_check_grace_period = 300
  enabled_metrics           = ["GroupInServiceInstances"]
  # Hosts wait for the release to be uploaded; an apply does not wait for them.
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  dynamic "instance_refresh" {
    for_each = var.rolling_update ? ["Rolling"] : []

    content {
      strategy = instance_refresh.value

      preferences {
        min_healthy_percentage = 100
        max_healthy_percentage = 200
      }
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = var.name })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy.host]
}

resource "aws_cloudwatch_log_group" "this" {
  region = var.region

  name              = "/meridian/${var.cluster}/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = var.tags
}
