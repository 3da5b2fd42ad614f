variable "region" {
  description = "Region of the bucket"
  type        = string
}

variable "name" {
  description = "Name of the bucket, unique in all of AWS"
  type        = string
}

variable "journals" {
  description = "Names of the journals that are archived here"
  type        = list(string)
}

variable "janitor_arn" {
  description = "Role that may delete what is named no more; null: nobody may"
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}
