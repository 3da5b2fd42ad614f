variable "region" {
  description = "Region of the bucket"
  type        = string
}

variable "name" {
  description = "Name of the bucket, unique in all of AWS"
  type        = string
}

variable "create_only_prefixes" {
  description = "Prefixes under which an object is written once: a put without If-None-Match is denied, and so is a deletion"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for prefix in var.create_only_prefixes : endswith(prefix, "/")])
    error_message = "A prefix ends in a slash."
  }
}

variable "noncurrent_version_days" {
  description = "Days for which replaced or deleted versions are kept"
  type        = number
  default     = 30
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}
