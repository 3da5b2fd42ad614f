output "autoscaling_group_name" {
  description = "Name of the Auto Scaling group"
  value       = module.host.autoscaling_group_name
}

output "log_group_name" {
  description = "Log group of the crossbars"
  value       = module.host.log_group_name
}

output "address" {
  description = "Where subscribers reach the crossbars of this region"
  value       = "${aws_route53_record.this.name}:${local.port}"
}
