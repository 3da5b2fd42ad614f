# The archives of all journals in one region: a bucket, and rights to it. Nobody overwrites; nobody deletes but
# the janitor, and it no manifest (libs/archive/SPEC.md).

locals {
  # What a manifest names may be deleted once a later one does not; manifests are for ever.
  deletable = flatten([for journal in var.journals : ["${journal}/segments/", "${journal}/pages/", "${journal}/states/"]])

  bucket_arn = module.bucket.arn

  # s3:ListBucket lists nothing here: without it S3 answers 403 instead of 404 for what is not there.
  statements = {
    for journal in var.journals : journal => [
      {
        Sid      = "ReadAndCreate"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${local.bucket_arn}/${journal}/*"
      },
      {
        Sid      = "SayWhatIsNotThere"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = local.bucket_arn
      },
    ]
  }
}

module "bucket" {
  source = "../bucket"

  region               = var.region
  name                 = var.name
  create_only_prefixes = concat(local.deletable, [for journal in var.journals : "${journal}/manifests/"])
  create_only_keys     = [for journal in var.journals : "${journal}/journal.json"]
  deletable_prefixes   = length(var.janitor_arns) == 0 ? [] : local.deletable
  deleter_arns         = var.janitor_arns
  tags                 = var.tags
}
