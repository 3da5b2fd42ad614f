variable "cluster" {
  description = "Name of the cluster"
  type        = string
}

variable "name" {
  description = "Name of the sidecar, unique in the cluster"
  type        = string
}

variable "region" {
  description = "Region of the sidecar, the one of its database"
  type        = string
}

variable "roles" {
  description = "ship: changes of this database into the journal; apply: out of it"
  type        = list(string)
}

variable "journal" {
  description = "Journal instance to ship to: name and reachable replicas (region, address)"
  type = object({
    name     = string
    replicas = list(object({ region = string, address = string }))
  })
}

variable "crossbars" {
  description = "Crossbars to apply from, nearest first; none: the one journal instance is followed"
  type        = list(string)
}

variable "stream" {
  description = "Stream of the changes; the same in every region"
  type        = string
}

variable "tables" {
  description = "Tables to ship, as schema.table; none: all"
  type        = list(string)
}

variable "synchronous" {
  description = "Whether COMMIT waits for the journal; where Postgres lets synchronous_standby_names be set (not on RDS)"
  type        = bool
}

variable "postgres" {
  description = "The database: where it is, from which address ranges, and the secret with username and password"
  type = object({
    host        = string
    port        = number
    database    = string
    secret_arn  = string
    cidr_blocks = list(string)
  })
}

variable "client_cidr_blocks" {
  description = "Address ranges that may ask for linearizable reads"
  type        = list(string)
}

variable "member_cidr_blocks" {
  description = "Address ranges of the members that are reached"
  type        = list(string)
}

variable "crossbar_cidr_blocks" {
  description = "Address ranges of the crossbars that are reached"
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
  description = "KMS key of root volume, logs and, where it is not the account's default one, the secret"
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
