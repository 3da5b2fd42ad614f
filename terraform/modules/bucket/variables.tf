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

variable "create_only_keys" {
  description = "Single objects that are written once"
  type        = list(string)
  default     = []
}

variable "deletable_prefixes" {
  description = "Of the create-only prefixes those under which deleter_arns, and nobody else, may delete"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for prefix in var.deletable_prefixes : contains(var.create_only_prefixes, prefix)])
    error_message = "A deletable prefix is one of create_only_prefixes: elsewhere nothing forbids to delete."
  }

  validation {
    condition     = length(var.deletable_prefixes) == 0 || length(var.deleter_arns) > 0
    error_message = "Who may delete is said by deleter_arns."
  }
}

variable "deleter_arns" {
  description = "Roles that may delete under deletable_prefixes"
  type        = list(string)
  default     = []
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
