variable "name" {
  description = "Name of the cluster; the alias is alias/NAME"
  type        = string
}

variable "regions" {
  description = "The three regions; the key is made in the first and replicated into the others"
  type        = list(string)
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}
