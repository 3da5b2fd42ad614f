variable "cluster" {
  description = "Name of the cluster"
  type        = string
}

variable "region" {
  description = "Region of these crossbars"
  type        = string
}

variable "journals" {
  description = "What is merged: number and readable replicas (region, address) by journal name. joined: the database did not begin with it"
  type = map(object({
    number   = number
    joined   = optional(bool, false)
    replicas = list(object({ region = string, address = string }))
  }))
}

variable "client_cidr_blocks" {
  description = "Address ranges that may subscribe"
  type        = list(string)
}

variable "member_cidr_blocks" {
  description = "Address ranges of the members that are read"
  type        = list(string)
}

variable "grants" {
  description = "Who may do what here: principal (role or role/name), operations, streams (names, or prefixes that end in *)"
  type        = list(object({ principal = string, operations = list(string), streams = list(string) }))
}

variable "vpc_id" {
  description = "VPC of this region"
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in different availability zones"
  type        = list(string)
}

variable "zone" {
  description = "Private hosted zone in which the crossbars are named"
  type = object({
    id   = string
    name = string
  })
}

variable "size" {
  description = "Fewest and most crossbars"
  type = object({
    min = number
    max = number
  })
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
  description = "KMS key of root volumes and logs in this region"
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
