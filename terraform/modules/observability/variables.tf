variable "cluster" {
  description = "Name of the cluster"
  type        = string
}

variable "region" {
  description = "Region in which the dashboard is kept; it shows all three"
  type        = string
}

variable "hosts" {
  description = "Host groups by name: region, what runs there (journal, crossbar, janitor, ship or apply), Auto Scaling group, log group, fewest hosts"
  type = map(object({
    region                 = string
    service                = string
    autoscaling_group_name = string
    log_group_name         = string
    min_size               = number
  }))
}

variable "volumes" {
  description = "Journal volumes by name of the host group"
  type = map(object({
    region    = string
    volume_id = string
  }))
}

variable "clock_error_alarm_ms" {
  description = "Clock error bound above which a member's alarm fires"
  type        = number
}

variable "alarm_actions" {
  description = "SNS topics to notify, by region; a topic must be in the alarm's region"
  type        = map(list(string))
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}
