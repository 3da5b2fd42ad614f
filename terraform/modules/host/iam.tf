data "aws_partition" "this" {}
data "aws_caller_identity" "this" {}

locals {
  partition = data.aws_partition.this.partition

  release_statements = startswith(var.artifact.url, "s3://") ? [{
    Sid      = "FetchRelease"
    Effect   = "Allow"
    Action   = "s3:GetObject"
    Resource = "arn:${local.partition}:s3:::${trimprefix(var.artifact.url, "s3://")}"
  }] : []

  # What the host reads from Secrets Manager, by what its statements call it.
  secrets = merge(
    var.certificates ? { Certificate = local.certificate_secret } : {},
    var.archive_keys ? { WrappedKeys = local.archive_keys_secret } : {},
  )

  secret_statements = flatten([
    for what, secret in local.secrets : [
      {
        # Secrets Manager adds six characters to the name.
        Sid      = "Read${what}"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = "arn:${local.partition}:secretsmanager:${var.region}:${data.aws_caller_identity.this.account_id}:secret:${secret}-??????"
      },
      {
        Sid       = "Decrypt${what}"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = var.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
      },
    ]
  ])

  archive_keys_statements = var.archive_keys ? [
    {
      # Only what was wrapped as a key of this cluster's archives: the key wraps more than that.
      Sid       = "UnwrapKeys"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = var.kms_key_arn
      Condition = { StringEquals = { "kms:EncryptionContext:meridian:archive" = var.cluster } }
    },
  ] : []
}

resource "aws_iam_role" "this" {
  name        = var.name
  description = "Hosts of ${var.unit}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })

  tags = var.tags
}

resource "aws_iam_instance_profile" "this" {
  name = var.name
  role = aws_iam_role.this.name

  tags = var.tags
}

# Session Manager and Run Command instead of SSH.
resource "aws_iam_role_policy_attachment" "ssm" {
  role       = aws_iam_role.this.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_role_policy" "host" {
  name = "host"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
      {
        Sid       = "WriteMetrics"
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringEquals = { "cloudwatch:namespace" = "Meridian" } }
      },
      {
        # The CloudWatch agent learns the name of its Auto Scaling group from the instance's tags.
        Sid      = "ReadOwnTags"
        Effect   = "Allow"
        Action   = "ec2:DescribeTags"
        Resource = "*"
      },
      ],
      local.secret_statements,
      local.archive_keys_statements,
      local.release_statements,
    )
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = var.policies

  name   = each.key
  role   = aws_iam_role.this.id
  policy = each.value
}
