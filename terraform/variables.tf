variable "name" {
  description = "Name of the cluster, prefix of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.name))
    error_message = "The name is 2 to 16 lower-case letters, digits or dashes and begins with a letter."
  }
}

variable "regions" {
  description = "Three different regions. The position is the number of the replica there: never reorder or exchange them"
  type        = list(string)

  validation {
    condition     = length(var.regions) == 3 && length(distinct(var.regions)) == 3
    error_message = "A journal has three replicas in three different regions: exactly three distinct ones are needed."
  }

  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{2,3}(-[a-z]+)+-[0-9]$", region))])
    error_message = "A region is named like eu-west-1."
  }
}

variable "witness_region" {
  description = "One of the regions whose replicas only vote: no client, crossbar or sidecar reaches them. null: all three serve"
  type        = string
  default     = null

  validation {
    condition     = var.witness_region == null ? true : contains(var.regions, var.witness_region)
    error_message = "The witness region is one of the three regions."
  }
}

variable "cidr_block" {
  description = "Private address range (/14); each region's VPC gets a /16 of it. Must not overlap with networks that are peered later"
  type        = string
  default     = "10.64.0.0/14"

  validation {
    condition     = can(regex("^(10|172\\.(16|20|24|28))\\..*/14$", var.cidr_block)) && can(cidrnetmask(var.cidr_block))
    error_message = "The address range is a private one (RFC 1918) with 14 bits of prefix."
  }
}

variable "artifact" {
  description = "Release to install: https:// or s3:// URL of the tarball and its SHA-256"
  type = object({
    url    = string
    sha256 = string
  })

  validation {
    condition     = can(regex("^(https|s3)://[^\\s]+\\.tar\\.gz$", var.artifact.url))
    error_message = "The release is a .tar.gz behind https:// or s3://."
  }

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.artifact.sha256))
    error_message = "The hash of the release is 64 hexadecimal digits in lower case (sha256sum)."
  }
}

variable "journals" {
  description = "Journal instances by name. The number orders records of different instances with the same timestamp and is part of the members' addresses: never change it. joined: it is not one of those that the database began with (docs/instances.md)"
  type = map(object({
    number        = number
    joined        = optional(bool, false)
    instance_type = optional(string, "m7g.large")
    volume = optional(object({
      type           = optional(string, "gp3")
      size_gib       = optional(number, 200)
      iops           = optional(number, 6000)
      throughput_mib = optional(number, 250)
    }), {})
  }))

  validation {
    condition     = length(var.journals) > 0
    error_message = "At least one journal instance is needed."
  }

  validation {
    condition     = alltrue([for name in keys(var.journals) : can(regex("^[a-z][a-z0-9-]{0,15}$", name)) && !contains(["crossbar", "janitor"], name)])
    error_message = "The name of a journal is 1 to 16 lower-case letters, digits or dashes, and not \"crossbar\" or \"janitor\"."
  }

  validation {
    condition     = alltrue([for journal in values(var.journals) : journal.number >= 1 && journal.number <= 100 && floor(journal.number) == journal.number])
    error_message = "The number of a journal is a whole one from 1 to 100."
  }

  validation {
    condition     = length(distinct([for journal in values(var.journals) : journal.number])) == length(var.journals)
    error_message = "Every journal has a number of its own."
  }

  validation {
    condition     = alltrue([for journal in values(var.journals) : contains(["gp3", "io2"], journal.volume.type)])
    error_message = "The volume of a journal is gp3 or io2."
  }
}

variable "archive" {
  description = "Archives of the journals, a bucket in each region. janitor: a host that deletes in them by these rules, the only one that may (null: none; then they only grow); janitor_trusted_arns: people who may take a role that deletes there too, none by default; local_bytes: log that members keep although it is archived; sealed: objects are sealed with the keys in the secret meridian/NAME/archive-keys. null: no archives, and what leaves the log is gone"
  type = object({
    janitor = optional(object({
      max_age_days  = optional(number)
      max_size_gib  = optional(number)
      trimmed       = optional(bool, true)
      unnamed_days  = optional(number, 7)
      instance_type = optional(string, "t4g.small")
    }))
    janitor_trusted_arns = optional(list(string), [])
    local_bytes          = optional(number)
    sealed               = optional(bool, false)
  })
  default = {}

  validation {
    condition = alltrue([
      for rule in ["max_age_days", "max_size_gib", "unnamed_days"] : try(var.archive.janitor[rule], null) == null ? true : var.archive.janitor[rule] > 0
    ])
    error_message = "An age or a size of which everything is too much would delete everything."
  }
}

variable "crossbar" {
  description = "Crossbars of each region that serves. null: none"
  type = object({
    instance_type = optional(string, "m7g.medium")
    min_size      = optional(number, 2)
    max_size      = optional(number, 4)
  })
  default = {}
}

variable "sidecars" {
  description = "Sidecars by name: region and roles, the journal and stream, and the database. The secret holds username and password as JSON, as RDS keeps it"
  type = map(object({
    region        = string
    roles         = list(string)
    journal       = string
    stream        = string
    tables        = optional(list(string), [])
    synchronous   = optional(bool, false)
    instance_type = optional(string, "m7g.medium")
    postgres = object({
      host        = string
      port        = optional(number, 5432)
      database    = string
      secret_arn  = string
      cidr_blocks = list(string)
    })
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.sidecars) : can(regex("^[a-z][a-z0-9-]{0,15}$", name)) && !contains(concat(keys(var.journals), ["crossbar", "janitor"]), name)])
    error_message = "The name of a sidecar is 1 to 16 lower-case letters, digits or dashes, not \"crossbar\" or \"janitor\" and not a journal's."
  }

  validation {
    condition = alltrue([
      for sidecar in values(var.sidecars) : contains(var.regions, sidecar.region) && sidecar.region != try(coalesce(var.witness_region), "")
    ])
    error_message = "A sidecar runs in one of the three regions, and not in the witness region."
  }

  validation {
    condition     = alltrue([for sidecar in values(var.sidecars) : contains(keys(var.journals), sidecar.journal)])
    error_message = "A sidecar names one of the journals."
  }

  validation {
    condition = alltrue([
      for sidecar in values(var.sidecars) :
      length(sidecar.roles) > 0 && length(setsubtract(sidecar.roles, ["ship", "apply"])) == 0 && length(distinct(sidecar.roles)) == length(sidecar.roles)
    ])
    error_message = "The roles of a sidecar are ship, apply or both."
  }
}

variable "client_cidr_blocks" {
  description = "Private address ranges, beyond the cluster's own, from which clients may connect. They need a route here, for example a peering of their own"
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([
      for block in var.client_cidr_blocks :
      can(cidrnetmask(block)) && can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.).*/(1[6-9]|2[0-9]|3[0-2])$", block))
    ])
    error_message = "A journal is nothing for the open net: only private ranges (RFC 1918) of at most a /16 each may be named."
  }
}

variable "grants" {
  description = "What clients may do, beyond the sidecars, which are seen to: principal (role or role/name), operations, streams (names, or prefixes that end in *)"
  type        = list(object({ principal = string, operations = list(string), streams = list(string) }))
  default     = []

  validation {
    condition = alltrue(flatten([
      for grant in var.grants : [
        can(regex("^(crossbar|sidecar|applier|client|admin)(/[A-Za-z0-9_.-]{1,64})?$", grant.principal)),
        length(grant.streams) > 0,
        length(grant.operations) > 0,
        length(setsubtract(grant.operations, ["append", "fence", "read", "tail", "trim", "streams", "status"])) == 0,
      ]
    ]))
    error_message = "A grant gives operations (append, fence, read, tail, trim, streams, status) on streams to a role or role/name; replicas are given nothing."
  }
}

variable "max_clock_error_ms" {
  description = "Bound on the error of every member's clock that the journal may rely on for QUORUM answers. null: it relies on none. An alarm fires when chrony reports more"
  type        = number
  default     = null

  validation {
    condition     = var.max_clock_error_ms == null ? true : var.max_clock_error_ms > 0
    error_message = "The bound on the clock's error is positive."
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics to notify, by region. A topic must be in the region of the alarm"
  type        = map(list(string))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.alarm_topic_arns), var.regions)) == 0
    error_message = "Topics are named by one of the three regions."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept; a value that CloudWatch knows"
  type        = number
  default     = 30
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}
