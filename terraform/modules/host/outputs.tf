output "autoscaling_group_name" {
  description = "Name of the Auto Scaling group"
  value       = aws_autoscaling_group.this.name
}

output "log_group_name" {
  description = "Log group of the service"
  value       = aws_cloudwatch_log_group.this.name
}

output "role_arn" {
  description = "Role of the hosts, to be granted what lies outside this module"
  value       = aws_iam_role.this.arn
}
