output "key_arns" {
  description = "KMS key by region; the same key material in all of them"
  value       = local.key_arns
}
