variable "cluster" {
  description = "Name of the cluster"
  type        = string
}

variable "region" {
  description = "Region of the host; it cleans the archives of all"
  type        = string
}

variable "archives" {
  description = "URL and region of every archive"
  type        = list(object({ url = string, region = string }))
}

variable "sealed" {
  description = "Whether the objects of the archives are sealed"
  type        = bool
  default     = false
}

variable "statements" {
  description = "What the host may do in the buckets, statements of an IAM policy"
  type        = any
}

variable "rules" {
  description = "What may go: older than max_age_days of log time, beyond max_size_gib in each archive (null: no such rule), trimmed by every stream, uploaded unnamed_days ago and never named (null: stays)"
  type = object({
    max_age_days = optional(number)
    max_size_gib = optional(number)
    trimmed      = optional(bool, true)
    unnamed_days = optional(number, 7)
  })
}

variable "vpc_id" {
  description = "VPC of this region"
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets"
  type        = list(string)
}

variable "instance_type" {
  description = "Instance type, of the architecture of image_id"
  type        = string
}

variable "image_id" {
  description = "Amazon Linux 2023"
  type        = string
}

variable "artifact" {
  description = "Release to install: https:// or s3:// URL of the tarball and its SHA-256"
  type = object({
    url    = string
    sha256 = string
  })
}

variable "kms_key_arn" {
  description = "KMS key of root volume and logs in this region"
  type        = string
}

variable "log_retention_days" {
  description = "Days for which logs are kept"
  type        = number
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}
