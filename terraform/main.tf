locals {
  replicas = { for index, region in var.regions : region => index }
  # Where clients are served; a witness only votes.
  serving = [for region in var.regions : region if region != try(coalesce(var.witness_region), "")]

  members = merge([
    for journal, settings in var.journals : {
      for region in var.regions : "${journal}/${region}" => {
        journal  = journal
        region   = region
        replica  = local.replicas[region]
        settings = settings
        address  = cidrhost(module.network.fixed_cidr_blocks[region], local.first_host + settings.number)
      }
    }
  ]...)

  has_janitor = try(length(var.archive.janitor_trusted_arns), 0) > 0
  # Where its host is; empty: there is none.
  janitor_regions = try(var.archive.janitor, null) == null ? [] : [local.serving[0]]
  # Said, not read from the roles: the buckets' policies name them, and their own policies name the buckets.
  role_prefix = "arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}:role/${var.name}-janitor"
  janitor_arn = local.role_prefix
  janitor_arns = concat(
    local.has_janitor ? [local.janitor_arn] : [],
    [for region in local.janitor_regions : "${local.role_prefix}-${region}"],
  )
  janitor_statements = [
    for statement in flatten([for region, archive in module.archive : archive.janitor_statements]) :
    { for key, value in statement : key => value if key != "Sid" }
  ]

  first_host = 9 # AWS keeps the first four of a subnet for itself.

  cluster_cidr_blocks = flatten([for region in local.serving : module.network.service_cidr_blocks[region]])
  client_cidr_blocks  = concat(local.cluster_cidr_blocks, var.client_cidr_blocks)
  member_cidr_blocks  = [for region in local.serving : module.network.fixed_cidr_blocks[region]]

  # A sidecar may do with its stream what it is there for, and nothing else.
  grants = concat(
    [
      for name, sidecar in var.sidecars : {
        principal = "sidecar/${name}"
        operations = concat(
          ["read", "tail", "status"],
          contains(sidecar.roles, "ship") ? ["append", "fence", "streams"] : [],
        )
        streams = [sidecar.stream]
      }
    ],
    var.grants,
  )

  # What crossbars and sidecars are told of the journals.
  journals = {
    for journal, settings in var.journals : journal => {
      number = settings.number
      joined = settings.joined
      replicas = [
        for region in local.serving : { region = region, address = module.member["${journal}/${region}"].client_address }
      ]
    }
  }
}

data "aws_ssm_parameter" "image" {
  for_each = toset(var.regions)
  region   = each.key

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
}

module "network" {
  source = "./modules/network"

  name       = var.name
  regions    = var.regions
  cidr_block = var.cidr_block
  tags       = var.tags
}

module "encryption" {
  source = "./modules/encryption"

  name    = var.name
  regions = var.regions
  tags    = var.tags
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

module "archive" {
  source   = "./modules/archive"
  for_each = var.archive == null ? toset([]) : toset(local.serving)

  region       = each.key
  name         = "${var.name}-archive-${data.aws_caller_identity.this.account_id}-${each.key}"
  journals     = keys(var.journals)
  janitor_arns = local.janitor_arns
  tags         = var.tags
}

# Deletes in the archives by hand; no host has it.
resource "aws_iam_role" "janitor" {
  count = local.has_janitor ? 1 : 0

  name        = "${var.name}-janitor"
  description = "Deletes in the archives of ${var.name}: meridian archive clean"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.archive.janitor_trusted_arns }
      Action    = "sts:AssumeRole"
    }]
  })

  tags = var.tags
}

resource "aws_iam_role_policy" "janitor" {
  count = local.has_janitor ? 1 : 0

  name = "archives"
  role = aws_iam_role.janitor[0].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.janitor_statements
  })
}

module "janitor" {
  source   = "./modules/janitor"
  for_each = toset(local.janitor_regions)

  cluster = var.name
  region  = each.key
  archives = flatten([
    for region, archive in module.archive : [
      for journal in keys(var.journals) : { url = "s3://${archive.name}/${journal}", region = region }
    ]
  ])
  statements         = local.janitor_statements
  rules              = var.archive.janitor
  sealed             = var.archive.sealed
  vpc_id             = module.network.vpc_ids[each.key]
  subnet_ids         = module.network.service_subnet_ids[each.key]
  instance_type      = var.archive.janitor.instance_type
  image_id           = nonsensitive(data.aws_ssm_parameter.image[each.key].value)
  artifact           = var.artifact
  kms_key_arn        = module.encryption.key_arns[each.key]
  log_retention_days = var.log_retention_days
  tags               = var.tags
}

module "member" {
  source   = "./modules/member"
  for_each = local.members

  cluster = var.name
  journal = each.value.journal
  region  = each.value.region
  replica = each.value.replica
  address = each.value.address
  peers = [
    for region in var.regions : {
      replica    = local.replicas[region]
      region     = region
      address    = local.members["${each.value.journal}/${region}"].address
      cidr_block = module.network.member_cidr_blocks[region]
    } if region != each.value.region
  ]
  witness            = !contains(local.serving, each.value.region)
  client_cidr_blocks = contains(local.serving, each.value.region) ? local.client_cidr_blocks : []
  grants             = local.grants
  archive = var.archive == null || !contains(local.serving, each.value.region) ? null : {
    url         = "s3://${module.archive[each.value.region].name}/${each.value.journal}"
    policy      = module.archive[each.value.region].writer_policies[each.value.journal]
    local_bytes = var.archive.local_bytes
    sealed      = var.archive.sealed
  }
  vpc_id        = module.network.vpc_ids[each.value.region]
  subnets       = module.network.member_subnets[each.value.region]
  instance_type = each.value.settings.instance_type
  image_id      = nonsensitive(data.aws_ssm_parameter.image[each.value.region].value)
  volume = merge(each.value.settings.volume, {
    throughput_mib = each.value.settings.volume.type == "gp3" ? each.value.settings.volume.throughput_mib : null
  })
  max_clock_error_ms = var.max_clock_error_ms
  artifact           = var.artifact
  kms_key_arn        = module.encryption.key_arns[each.value.region]
  log_retention_days = var.log_retention_days
  tags               = var.tags
}

resource "aws_route53_record" "member" {
  for_each = local.members

  zone_id = module.network.zone_id
  name    = "${each.value.journal}.${each.value.region}.${module.network.zone_name}"
  type    = "A"
  ttl     = 60
  records = [each.value.address]
}

module "crossbar" {
  source   = "./modules/crossbar"
  for_each = var.crossbar == null ? toset([]) : toset(local.serving)

  cluster            = var.name
  region             = each.key
  journals           = local.journals
  client_cidr_blocks = local.client_cidr_blocks
  member_cidr_blocks = local.member_cidr_blocks
  grants             = local.grants
  vpc_id             = module.network.vpc_ids[each.key]
  subnet_ids         = module.network.service_subnet_ids[each.key]
  zone               = { id = module.network.zone_id, name = module.network.zone_name }
  size               = { min = var.crossbar.min_size, max = var.crossbar.max_size }
  instance_type      = var.crossbar.instance_type
  image_id           = nonsensitive(data.aws_ssm_parameter.image[each.key].value)
  artifact           = var.artifact
  kms_key_arn        = module.encryption.key_arns[each.key]
  log_retention_days = var.log_retention_days
  tags               = var.tags
}

module "sidecar" {
  source   = "./modules/sidecar"
  for_each = var.sidecars

  cluster = var.name
  name    = each.key
  region  = each.value.region
  roles   = each.value.roles
  journal = {
    name     = each.value.journal
    replicas = local.journals[each.value.journal].replicas
  }
  # The own region's crossbars first, then the other ones.
  crossbars = concat(
    [for region, crossbar in module.crossbar : crossbar.address if region == each.value.region],
    [for region, crossbar in module.crossbar : crossbar.address if region != each.value.region],
  )
  stream               = each.value.stream
  tables               = each.value.tables
  synchronous          = each.value.synchronous
  postgres             = each.value.postgres
  client_cidr_blocks   = local.client_cidr_blocks
  member_cidr_blocks   = local.member_cidr_blocks
  crossbar_cidr_blocks = local.cluster_cidr_blocks
  grants               = local.grants
  vpc_id               = module.network.vpc_ids[each.value.region]
  subnet_ids           = module.network.service_subnet_ids[each.value.region]
  instance_type        = each.value.instance_type
  image_id             = nonsensitive(data.aws_ssm_parameter.image[each.value.region].value)
  artifact             = var.artifact
  kms_key_arn          = module.encryption.key_arns[each.value.region]
  log_retention_days   = var.log_retention_days
  tags                 = var.tags
}

module "observability" {
  source = "./modules/observability"

  cluster = var.name
  region  = var.regions[0]
  hosts = merge(
    {
      for key, member in local.members : "${var.name}-${member.journal}-${member.region}" => {
        region                 = member.region
        service                = "journal"
        autoscaling_group_name = module.member[key].autoscaling_group_name
        log_group_name         = module.member[key].log_group_name
        min_size               = 1
      }
    },
    {
      for region, crossbar in module.crossbar : "${var.name}-crossbar-${region}" => {
        region                 = region
        service                = "crossbar"
        autoscaling_group_name = crossbar.autoscaling_group_name
        log_group_name         = crossbar.log_group_name
        min_size               = var.crossbar.min_size
      }
    },
    {
      for region, janitor in module.janitor : "${var.name}-janitor-${region}" => {
        region                 = region
        service                = "janitor"
        autoscaling_group_name = janitor.autoscaling_group_name
        log_group_name         = janitor.log_group_name
        min_size               = 1
      }
    },
    {
      for name, sidecar in module.sidecar : "${var.name}-${name}-${var.sidecars[name].region}" => {
        region                 = var.sidecars[name].region
        service                = contains(var.sidecars[name].roles, "apply") ? "apply" : "ship"
        autoscaling_group_name = sidecar.autoscaling_group_name
        log_group_name         = sidecar.log_group_name
        min_size               = 1
      }
    },
  )
  volumes = {
    for key, member in local.members : "${var.name}-${member.journal}-${member.region}" => {
      region    = member.region
      volume_id = module.member[key].volume_id
    }
  }
  clock_error_alarm_ms = coalesce(var.max_clock_error_ms, 10)
  alarm_actions        = var.alarm_topic_arns
  tags                 = var.tags
}
