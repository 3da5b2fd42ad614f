output "journals" {
  description = "Replicas that clients may use, by journal: region and address"
  value       = { for name, journal in local.journals : name => journal.replicas }
}

output "crossbar_addresses" {
  description = "Crossbars by region"
  value       = { for region, crossbar in module.crossbar : region => crossbar.address }
}

output "first_start_commands" {
  description = "What to run once for a new journal, one command for each of its regions"
  value = {
    for journal in keys(var.journals) : journal => [
      for region in var.regions : join(" ", [
        "aws ssm send-command --region ${region} --document-name AWS-RunShellScript",
        "--targets Key=tag:meridian:journal,Values=${var.name}-${journal}",
        "--parameters commands='meridian-first-start new'",
      ])
    ]
  }
}

output "autoscaling_group_names" {
  description = "Auto Scaling groups of the members, by journal and region; to be refreshed one region after the other"
  value       = { for key, member in module.member : key => member.autoscaling_group_name }
}

output "vpc_ids" {
  description = "VPC by region, to peer the clients' networks with"
  value       = module.network.vpc_ids
}

output "service_subnet_ids" {
  description = "Private subnets of crossbars and sidecars by region, for databases beside a sidecar"
  value       = module.network.service_subnet_ids
}

output "service_cidr_blocks" {
  description = "Address ranges of crossbars and sidecars by region, for the security groups of databases"
  value       = module.network.service_cidr_blocks
}

output "kms_key_arns" {
  description = "KMS key by region"
  value       = module.encryption.key_arns
}

output "zone_id" {
  description = "Private hosted zone of members and crossbars"
  value       = module.network.zone_id
}

output "alarm_arns" {
  description = "Alarms by name"
  value       = module.observability.alarm_arns
}

output "archive_buckets" {
  description = "Bucket of the archives in each region"
  value       = { for region, archive in module.archive : region => archive.name }
}

output "janitor_role_arn" {
  description = "Role for meridian archive clean by hand; null: no person may delete in the archives"
  value       = local.has_janitor ? local.janitor_arn : null
}
