output "name" {
  description = "Name of the bucket"
  value       = aws_s3_bucket.this.bucket
}

output "arn" {
  description = "ARN of the bucket"
  value       = aws_s3_bucket.this.arn
}

output "policy" {
  description = "Policy of the bucket, JSON"
  value       = aws_s3_bucket_policy.this.policy
}
