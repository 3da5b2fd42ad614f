variable "release_bucket_name" {
  description = "Name of the bucket of releases, unique in all of AWS"
  type        = string
}

variable "release" {
  description = "Release to run: version and SHA-256 of its tarball"
  type = object({
    version = string
    sha256  = string
  })
}

variable "alarm_topic_arns" {
  description = "SNS topics to notify, by region"
  type        = map(list(string))
  default     = {}
}
