output "autoscaling_group_name" {
  description = "Name of the Auto Scaling group of one"
  value       = module.host.autoscaling_group_name
}

output "log_group_name" {
  description = "Log group of the janitor"
  value       = module.host.log_group_name
}
