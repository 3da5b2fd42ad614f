output "journals" {
  description = "Replicas that clients may use, by journal"
  value       = module.meridian.journals
}

output "crossbar_addresses" {
  description = "Crossbars by region"
  value       = module.meridian.crossbar_addresses
}

output "first_start_commands" {
  description = "What to run once for the new journal"
  value       = module.meridian.first_start_commands
}
