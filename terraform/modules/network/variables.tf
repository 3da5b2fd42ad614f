variable "name" {
  description = "Name of the cluster, prefix of every name"
  type        = string
}

variable "regions" {
  description = "The three regions; the position in the list numbers the address ranges"
  type        = list(string)
}

variable "cidr_block" {
  description = "Private address range (/14) from which every region gets a /16"
  type        = string
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}
