data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  account_id = data.aws_caller_identity.this.account_id
  partition  = data.aws_partition.this.partition

  policies = {
    for region in var.regions : region => jsonencode({
      Version = "2012-10-17"
      Statement = [
        {
          Sid       = "AccountAdministersByIam"
          Effect    = "Allow"
          Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
          Action    = "kms:*"
          Resource  = "*"
        },
        {
          # As in the key that AWS keeps for EBS: whoever may use the account's volumes, Auto Scaling included.
          Sid       = "VolumesThroughEc2"
          Effect    = "Allow"
          Principal = { AWS = "*" }
          Action = [
            "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*",
          ]
          Resource = "*"
          Condition = {
            StringEquals = {
              "kms:CallerAccount" = local.account_id
              "kms:ViaService"    = "ec2.${region}.amazonaws.com"
            }
          }
        },
        {
          Sid       = "CloudWatchLogs"
          Effect    = "Allow"
          Principal = { Service = "logs.${region}.amazonaws.com" }
          Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
          Resource  = "*"
          Condition = {
            ArnLike = {
              "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${region}:${local.account_id}:log-group:/meridian/${var.name}/*"
            }
          }
        },
      ]
    })
  }
}

resource "aws_kms_key" "this" {
  region = var.regions[0]

  description             = "Volumes, logs and secrets of ${var.name}"
  multi_region            = true
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = local.policies[var.regions[0]]

  tags = var.tags
}

resource "aws_kms_replica_key" "this" {
  for_each = toset(slice(var.regions, 1, length(var.regions)))
  region   = each.key

  description             = "Volumes, logs and secrets of ${var.name}"
  primary_key_arn         = aws_kms_key.this.arn
  deletion_window_in_days = 30
  policy                  = local.policies[each.key]

  tags = var.tags
}

locals {
  key_arns = merge(
    { (var.regions[0]) = aws_kms_key.this.arn },
    { for region, replica in aws_kms_replica_key.this : region => replica.arn },
  )
}

resource "aws_kms_alias" "this" {
  for_each = toset(var.regions)
  region   = each.key

  name          = "alias/${var.name}"
  target_key_id = local.key_arns[each.key]
}
