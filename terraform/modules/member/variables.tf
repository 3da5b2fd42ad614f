variable "cluster" {
  description = "Name of the cluster"
  type        = string
}

variable "journal" {
  description = "Name of the journal instance that this member is a replica of"
  type        = string
}

variable "region" {
  description = "Region of this member"
  type        = string
}

variable "replica" {
  description = "Number of this replica: 0, 1 or 2"
  type        = number
}

variable "address" {
  description = "Fixed private address of this member, out of the subnet of fixed addresses"
  type        = string
}

variable "peers" {
  description = "The two other members: number, region, address, and the address range from which they connect"
  type = list(object({
    replica    = number
    region     = string
    address    = string
    cidr_block = string
  }))
}

variable "witness" {
  type        = bool
  default     = false
  description = "It only votes: serves no clients and archives nothing"
}

variable "client_cidr_blocks" {
  description = "Address ranges that may append and read here; none for a witness"
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

variable "subnets" {
  description = "Subnets of this region's hosts and of fixed addresses, and the availability zone of both"
  type = object({
    host_id           = string
    fixed_id          = string
    availability_zone = string
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

variable "archive" {
  description = "Where released entries are archived, the policy that lets this member do so, bytes of log that are kept although they are archived, and whether objects are sealed; null: nowhere"
  type = object({
    url         = string
    policy      = string
    local_bytes = optional(number)
    sealed      = optional(bool, false)
  })
  default = null
}

variable "volume" {
  description = "EBS volume of the log; io2 needs iops, throughput is for gp3 only"
  type = object({
    type           = string
    size_gib       = number
    iops           = number
    throughput_mib = optional(number)
  })
}

variable "max_clock_error_ms" {
  description = "Bound on the error of the clock that is told to the journal; null: none is assumed"
  type        = number
  default     = null
}

variable "artifact" {
  description = "Release to install: https:// or s3:// URL of the tarball and its SHA-256"
  type = object({
    url    = string
    sha256 = string
  })
}

variable "kms_key_arn" {
  description = "KMS key of volumes and logs in this region"
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
