output "journals" {
  description = "Replicas that clients may use, by journal"
  value       = module.meridian.journals
}

output "crossbar_addresses" {
  description = "Crossbars by region"
  value       = module.meridian.crossbar_addresses
}

output "first_start_commands" {
  description = "What to run once for a new journal"
  value       = module.meridian.first_start_commands
}

output "autoscaling_group_names" {
  description = "Auto Scaling groups of the members, to be refreshed one region after the other"
  value       = module.meridian.autoscaling_group_names
}

output "release_bucket_name" {
  description = "Where releases are uploaded"
  value       = module.releases.name
}
