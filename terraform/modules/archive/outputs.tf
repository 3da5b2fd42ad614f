output "name" {
  description = "Name of the bucket"
  value       = module.bucket.name
}

output "arn" {
  description = "ARN of the bucket"
  value       = module.bucket.arn
}

output "writer_policies" {
  description = "Policy of a replica of each journal: it reads and creates, and deletes nothing"
  value       = { for journal, statements in local.statements : journal => jsonencode({ Version = "2012-10-17", Statement = statements }) }
}

output "janitor_statements" {
  description = "What the janitor may do here: what replicas may, and delete segments, pages and states"
  value = concat(
    flatten(values(local.statements)),
    [{
      Sid      = "Delete"
      Effect   = "Allow"
      Action   = "s3:DeleteObject"
      Resource = [for prefix in local.deletable : "${local.bucket_arn}/${prefix}*"]
    }],
  )
}

output "bucket_policy" {
  description = "Policy of the bucket, JSON"
  value       = module.bucket.policy
}
