variable "name" {
  description = "Name of the host group, prefix of every name in it"
  type        = string
}

variable "cluster" {
  description = "Name of the cluster; log groups are /meridian/CLUSTER/NAME"
  type        = string
}

variable "region" {
  description = "Region of the hosts"
  type        = string
}

variable "unit" {
  description = "systemd unit of the release that the hosts run, for example meridian-crossbar.service"
  type        = string
}

variable "unit_settings" {
  description = "What is added to the unit, by section; values are lists of whole lines"
  type        = map(list(string))
  default     = {}
}

variable "artifact" {
  description = "Release to install: https:// or s3:// URL of the tarball and its SHA-256"
  type = object({
    url    = string
    sha256 = string
  })
}

variable "certificates" {
  description = "Whether the hosts fetch certificates, for a service that listens or calls with mutual TLS"
  type        = bool
  default     = true
}

variable "archive_keys" {
  description = "Whether the service seals and opens archives: its keys are then unwrapped into /run/meridian-archive/keys before each start"
  type        = bool
  default     = false
}

variable "files" {
  description = "Files to write before anything runs: content and mode by path"
  type = map(object({
    content = string
    mode    = optional(string, "0644")
  }))
  default = {}
}

variable "reported_metrics" {
  description = "Metrics of the service that CloudWatch is told every minute, and whether of several values the smallest (min) or largest (max)"
  type        = map(string)
}

variable "image_id" {
  description = "Amazon Linux 2023 for the architecture of instance_type"
  type        = string
}

variable "instance_type" {
  description = "Instance type"
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets"
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the hosts"
  type        = string
}

variable "kms_key_arn" {
  description = "KMS key of root volume and log group"
  type        = string
}

variable "size" {
  description = "Fewest and most hosts"
  type = object({
    min = number
    max = number
  })
}

variable "target_group_arns" {
  description = "Target groups of a load balancer, which then also judges health"
  type        = list(string)
  default     = []
}

variable "rolling_update" {
  description = "Whether an apply that changes the hosts replaces them by itself; for stateless ones only"
  type        = bool
}

variable "policies" {
  description = "What the hosts may do besides installing, logging and being managed: IAM policies by name"
  type        = map(string)
  default     = {}
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

variable "instance_tags" {
  description = "Tags of the instances alone, not of their root volumes"
  type        = map(string)
  default     = {}
}
