# Kafka: Event Hubs' endpoint on port 9093. Each hub is a topic of Freshet's settings.
resource "azurerm_eventhub_namespace" "this" {
  name                          = "evh-${var.name}"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = azurerm_resource_group.this.location
  sku                           = "Standard"
  capacity                      = var.event_hubs_units.min
  auto_inflate_enabled          = true
  maximum_throughput_units      = var.event_hubs_units.max
  minimum_tls_version           = "1.2"
  public_network_access_enabled = false
  tags                          = var.tags
}

resource "azurerm_eventhub" "topic" {
  for_each = toset(["events", "catalog", "profiles", "events.dead", "impressions"])

  name              = each.value
  namespace_id      = azurerm_eventhub_namespace.this.id
  partition_count   = var.topic_partitions
  message_retention = 7
}

resource "azurerm_eventhub_namespace_authorization_rule" "freshet" {
  name                = "freshet"
  namespace_name      = azurerm_eventhub_namespace.this.name
  resource_group_name = azurerm_resource_group.this.name
  listen              = true
  send                = true
  manage              = false
}

# Feast's online store. Without clustering, as Freshet reads and writes many keys in one command.
resource "azurerm_managed_redis" "this" {
  name                      = "redis-${var.name}"
  resource_group_name       = azurerm_resource_group.this.name
  location                  = azurerm_resource_group.this.location
  sku_name                  = var.redis_size
  high_availability_enabled = true
  public_network_access     = "Disabled"
  tags                      = var.tags

  default_database {
    access_keys_authentication_enabled            = true
    client_protocol                               = "Encrypted"
    clustering_policy                             = "NoCluster"
    eviction_policy                               = "NoEviction"
    persistence_append_only_file_backup_frequency = "1s"
  }
}

# Catalogue, profiles, receipts, experiments; Feast's registry; MLflow's and Prefect's tables.
resource "azurerm_postgresql_flexible_server" "this" {
  name                              = "psql-${var.name}"
  resource_group_name               = azurerm_resource_group.this.name
  location                          = azurerm_resource_group.this.location
  version                           = "16"
  sku_name                          = var.postgres_size
  storage_mb                        = 131072
  auto_grow_enabled                 = true
  backup_retention_days             = 14
  delegated_subnet_id               = azurerm_subnet.postgres.id
  private_dns_zone_id               = azurerm_private_dns_zone.this["postgres"].id
  public_network_access_enabled     = false
  administrator_login               = "freshet"
  administrator_password_wo         = ephemeral.azurerm_key_vault_secret.postgres.value
  administrator_password_wo_version = var.secrets_version
  tags                              = var.tags

  high_availability {
    mode = "ZoneRedundant"
  }

  lifecycle {
    ignore_changes = [zone, high_availability[0].standby_availability_zone] # after a failover
  }

  depends_on = [azurerm_private_dns_zone_virtual_network_link.this]
}

resource "azurerm_postgresql_flexible_server_database" "this" {
  for_each = toset(["freshet", "mlflow", "prefect"])

  name      = each.value
  server_id = azurerm_postgresql_flexible_server.this.id
}

# Raw events: Cosmos DB for MongoDB in its vCore form, which is a MongoDB with indexes and transactions.
# The resource knows no write-only password: this one is in the state.
resource "random_password" "mongo" {
  length  = 40
  special = false

  keepers = {
    version = var.secrets_version
  }
}

resource "azurerm_mongo_cluster" "this" {
  name                   = "mongo-${var.name}"
  resource_group_name    = azurerm_resource_group.this.name
  location               = azurerm_resource_group.this.location
  administrator_username = "freshet"
  administrator_password = random_password.mongo.result
  version                = "8.0"
  compute_tier           = var.mongo_tier
  storage_size_in_gb     = var.mongo_storage_gb
  shard_count            = 1
  high_availability_mode = "ZoneRedundantPreferred"
  public_network_access  = "Disabled"
  tags                   = var.tags
}

# The offline store: a share over NFS for several pods at once, without any key.
resource "azurerm_storage_account" "offline" {
  name                            = "st${var.name}"
  resource_group_name             = azurerm_resource_group.this.name
  location                        = azurerm_resource_group.this.location
  account_kind                    = "FileStorage"
  account_tier                    = "Premium"
  account_replication_type        = "ZRS"
  min_tls_version                 = "TLS1_2"
  https_traffic_only_enabled      = false # NFS has its own wire, within the network below
  shared_access_key_enabled       = false
  allow_nested_items_to_be_public = false
  tags                            = var.tags

  network_rules {
    default_action             = "Deny"
    virtual_network_subnet_ids = [azurerm_subnet.nodes.id]
  }
}

resource "azurerm_role_assignment" "offline" {
  scope                = azurerm_storage_account.offline.id
  role_definition_name = "Storage Account Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}
