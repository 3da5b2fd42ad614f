locals {
  create_only_arns = concat(
    [for prefix in var.create_only_prefixes : "${aws_s3_bucket.this.arn}/${prefix}*"],
    [for key in var.create_only_keys : "${aws_s3_bucket.this.arn}/${key}"],
  )
  deletable_arns = [for prefix in var.deletable_prefixes : "${aws_s3_bucket.this.arn}/${prefix}*"]

  transport_statement = {
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }

  create_only_statements = [
    {
      # Parts of a multipart upload cannot carry the header; what completes it must.
      Sid       = "CreateOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = local.create_only_arns
      Condition = {
        Null = { "s3:if-none-match" = "true" }
        Bool = { "s3:ObjectCreationOperation" = "true" }
      }
    },
    {
      Sid       = "NeverDeleted"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:DeleteObject"
      Resource  = [for arn in local.create_only_arns : arn if !contains(local.deletable_arns, arn)]
    },
    {
      # A deletion leaves the version it hides, which the lifecycle ends.
      Sid       = "VersionsExpire"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:DeleteObjectVersion"
      Resource  = local.create_only_arns
    },
  ]

  deleter_statements = [
    {
      Sid       = "DeletedByJanitorOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:DeleteObject"
      Resource  = local.deletable_arns
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = var.deleter_arns } }
    },
  ]
}

resource "aws_s3_bucket" "this" {
  region = var.region

  bucket = var.name

  tags = var.tags
}

resource "aws_s3_bucket_public_access_block" "this" {
  region = var.region

  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  region = var.region

  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  region = var.region

  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  region = var.region

  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  region = var.region

  bucket = aws_s3_bucket.this.id

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_version_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  region = var.region

  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.transport_statement],
      [for statement in local.create_only_statements : statement if length(statement.Resource) > 0],
      [for statement in local.deleter_statements : statement if length(local.deletable_arns) > 0],
    )
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}
