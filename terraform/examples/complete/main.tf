provider "aws" {
  region = local.primary_region
}

locals {
  name           = "prod"
  primary_region = "eu-west-1"
  replica_region = "us-east-1"
  witness_region = "eu-north-1"
  tags           = { Project = "meridian" }
}

# Releases are written once, under a name with their version, and checked by hash when installed.
module "releases" {
  source = "../../modules/bucket"

  region               = local.primary_region
  name                 = var.release_bucket_name
  create_only_prefixes = ["releases/"]
  tags                 = local.tags
}

module "meridian" {
  source = "../.."

  name           = local.name
  regions        = [local.primary_region, local.replica_region, local.witness_region]
  witness_region = local.witness_region
  cidr_block     = "10.96.0.0/14"

  artifact = {
    url    = "s3://${module.releases.name}/releases/meridian-${var.release.version}.tar.gz"
    sha256 = var.release.sha256
  }

  journals = {
    orders = {
      number        = 1
      instance_type = "m7g.xlarge"
      volume        = { type = "io2", size_gib = 500, iops = 10000 }
    }
    payments = { number = 2 }
  }

  crossbar = { min_size = 2, max_size = 6 }

  # Two years of every record, less what is trimmed.
  archive = { janitor = { max_age_days = 730 }, sealed = true }

  sidecars = {
    shop-primary = {
      region   = local.primary_region
      roles    = ["ship"]
      journal  = "orders"
      stream   = "pg.shop"
      tables   = ["public.customer", "public.purchase"]
      postgres = merge(local.databases[local.primary_region], { cidr_blocks = module.meridian.service_cidr_blocks[local.primary_region] })
    }
    shop-replica = {
      region   = local.replica_region
      roles    = ["apply"]
      journal  = "orders"
      stream   = "pg.shop"
      postgres = merge(local.databases[local.replica_region], { cidr_blocks = module.meridian.service_cidr_blocks[local.replica_region] })
    }
  }

  client_cidr_blocks = ["10.20.0.0/16"]
  max_clock_error_ms = 5
  alarm_topic_arns   = var.alarm_topic_arns
  log_retention_days = 90
  tags               = local.tags
}
