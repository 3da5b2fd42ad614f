# What outlives the host: the log and the address the others know.

resource "aws_ebs_volume" "this" {
  region = var.region

  availability_zone = var.subnets.availability_zone
  type              = var.volume.type
  size              = var.volume.size_gib
  iops              = var.volume.iops
  throughput        = var.volume.throughput_mib
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  final_snapshot    = true

  tags = merge(var.tags, local.member_tags, { Name = local.name })

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_network_interface" "this" {
  region = var.region

  description     = "Fixed address of ${local.name}"
  subnet_id       = var.subnets.fixed_id
  private_ips     = [var.address]
  security_groups = [aws_security_group.this.id]

  tags = merge(var.tags, local.member_tags, { Name = local.name })
}

data "aws_partition" "this" {}

data "aws_caller_identity" "this" {}

locals {
  arn_prefix = "arn:${data.aws_partition.this.partition}:ec2:${var.region}:${data.aws_caller_identity.this.account_id}"

  attach_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "FindOwnVolumeAndAddress"
        Effect   = "Allow"
        Action   = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeVolumes"]
        Resource = "*"
      },
      {
        Sid    = "AttachOwnVolumeAndAddress"
        Effect = "Allow"
        Action = ["ec2:AttachNetworkInterface", "ec2:AttachVolume"]
        Resource = [
          "${local.arn_prefix}:instance/*", "${local.arn_prefix}:network-interface/*", "${local.arn_prefix}:volume/*",
        ]
        Condition = { StringEquals = { for key, value in local.member_tags : "aws:ResourceTag/${key}" => value } }
      },
    ]
  })
}
