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

variable "janitor_arns" {
  description = "Roles that may delete what is named no more; none: nobody may"
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}
