variable "subscription_id" {
  description = "Azure subscription that everything is made in."
  type        = string
}

variable "name" {
  description = "Name of this installation, part of every resource's name; some must be unique in all of Azure."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,13}$", var.name))
    error_message = "3 to 14 small letters and digits, a letter first: registries and storage accounts take no more."
  }
}

variable "location" {
  description = "Azure region; one with availability zones."
  type        = string
  default     = "westeurope"
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = { project = "freshet" }
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes; patches follow by themselves."
  type        = string
  default     = "1.34"
}

variable "node_size" {
  description = "Machine of the nodes that run Freshet."
  type        = string
  default     = "Standard_D8ds_v5"
}

variable "node_count" {
  description = "Fewest and most nodes that run Freshet."
  type        = object({ min = number, max = number })
  default     = { min = 3, max = 12 }
}

variable "cluster_admins" {
  description = "Object ids of the Entra groups whose members administer the cluster."
  type        = list(string)
}

variable "allowed_addresses" {
  description = "Address ranges from which the cluster's API and Key Vault are reached: where terraform and kubectl run."
  type        = list(string)
}

variable "event_hubs_units" {
  description = "Throughput units of Event Hubs, fewest and most; one takes 1 MB/s or 1,000 events/s."
  type        = object({ min = number, max = number })
  default     = { min = 4, max = 20 }
}

variable "topic_partitions" {
  description = "Partitions of each topic: FRESHET_TOPIC_PARTITIONS. Most processes that the dataflow can use."
  type        = number
  default     = 8
}

variable "redis_size" {
  description = "SKU of Azure Managed Redis; without clustering at most 25 GB."
  type        = string
  default     = "MemoryOptimized_M20"
}

variable "postgres_size" {
  description = "SKU of PostgreSQL Flexible Server."
  type        = string
  default     = "GP_Standard_D4ds_v5"
}

variable "mongo_tier" {
  description = "Compute tier of the MongoDB cluster; M30 is the smallest that can be zone redundant."
  type        = string
  default     = "M30"
}

variable "mongo_storage_gb" {
  description = "Disk of the MongoDB cluster, which keeps every raw event."
  type        = number
  default     = 512
}

variable "secrets_version" {
  description = "Raise it to make all passwords that Terraform makes anew."
  type        = number
  default     = 1
}
