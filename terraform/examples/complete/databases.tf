# A database that ships its changes and, in another region, one that applies them.

locals {
  database_regions = toset([local.primary_region, local.replica_region])

  databases = {
    for region, database in aws_db_instance.this : region => {
      host       = database.address
      database   = database.db_name
      secret_arn = one(database.master_user_secret).secret_arn
    }
  }
}

resource "aws_db_subnet_group" "this" {
  for_each = local.database_regions
  region   = each.key

  name       = "${local.name}-shop"
  subnet_ids = module.meridian.service_subnet_ids[each.key]

  tags = local.tags
}

resource "aws_db_parameter_group" "this" {
  for_each = local.database_regions
  region   = each.key

  name   = "${local.name}-shop"
  family = "postgres17"

  parameter {
    name         = "rds.logical_replication"
    value        = "1"
    apply_method = "pending-reboot"
  }

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  tags = local.tags
}

resource "aws_security_group" "database" {
  for_each = local.database_regions
  region   = each.key

  name        = "${local.name}-shop"
  description = "Postgres of the shop"
  vpc_id      = module.meridian.vpc_ids[each.key]

  tags = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each = {
    for pair in flatten([
      for region in local.database_regions : [
        for index, block in module.meridian.service_cidr_blocks[region] : { key = "${region}/${index}", region = region, block = block }
      ]
    ]) : pair.key => pair
  }
  region = each.value.region

  security_group_id = aws_security_group.database[each.value.region].id
  description       = "Sidecar"
  cidr_ipv4         = each.value.block
  ip_protocol       = "tcp"
  from_port         = 5432
  to_port           = 5432

  tags = local.tags
}

resource "aws_db_instance" "this" {
  for_each = local.database_regions
  region   = each.key

  identifier                    = "${local.name}-shop"
  engine                        = "postgres"
  engine_version                = "17"
  instance_class                = "db.m7g.large"
  allocated_storage             = 100
  storage_type                  = "gp3"
  storage_encrypted             = true
  kms_key_id                    = module.meridian.kms_key_arns[each.key]
  db_name                       = "shop"
  username                      = "meridian"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = module.meridian.kms_key_arns[each.key]
  db_subnet_group_name          = aws_db_subnet_group.this[each.key].name
  parameter_group_name          = aws_db_parameter_group.this[each.key].name
  vpc_security_group_ids        = [aws_security_group.database[each.key].id]
  publicly_accessible           = false
  backup_retention_period       = 7
  deletion_protection           = true
  final_snapshot_identifier     = "${local.name}-shop-final"

  tags = local.tags
}
