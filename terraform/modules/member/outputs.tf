output "autoscaling_group_name" {
  description = "Name of the Auto Scaling group of one"
  value       = module.host.autoscaling_group_name
}

output "log_group_name" {
  description = "Log group of the replica"
  value       = module.host.log_group_name
}

output "client_address" {
  description = "Where clients, crossbars and sidecars reach this member"
  value       = "${var.address}:${local.client_port}"
}

output "volume_id" {
  description = "EBS volume of the log"
  value       = aws_ebs_volume.this.id
}
