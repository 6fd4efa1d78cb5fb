# What the pods must know, by the names that infra/k8s/overlays/azure/secrets.yaml asks for. Values are write-only:
# they pass through a run of Terraform and are kept in Key Vault alone.
resource "azurerm_key_vault" "this" {
  name                       = "kv-${var.name}"
  resource_group_name        = azurerm_resource_group.this.name
  location                   = azurerm_resource_group.this.location
  tenant_id                  = data.azurerm_client_config.current.tenant_id
  sku_name                   = "standard"
  rbac_authorization_enabled = true
  purge_protection_enabled   = true
  tags                       = var.tags

  network_acls {
    default_action = "Deny"
    bypass         = "AzureServices"
    ip_rules       = var.allowed_addresses
  }
}

resource "azurerm_role_assignment" "vault_writer" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets Officer"
  principal_id         = data.azurerm_client_config.current.object_id
}

resource "azurerm_role_assignment" "vault_reader" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.secrets.principal_id
}

ephemeral "random_password" "postgres" {
  length  = 40
  special = false
}

ephemeral "random_password" "admin" {
  length  = 48
  special = false
}

ephemeral "random_password" "load" {
  length  = 48
  special = false
}

resource "azurerm_key_vault_secret" "postgres" {
  name             = "postgres-password"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = ephemeral.random_password.postgres.result
  value_wo_version = var.secrets_version

  depends_on = [azurerm_role_assignment.vault_writer]
}

# Read back, so that a run that stopped half-way goes on with the password that was kept.
ephemeral "azurerm_key_vault_secret" "postgres" {
  name         = azurerm_key_vault_secret.postgres.name
  key_vault_id = azurerm_key_vault.this.id
}

resource "azurerm_key_vault_secret" "admin_key" {
  name             = "admin-key"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = ephemeral.random_password.admin.result
  value_wo_version = var.secrets_version

  depends_on = [azurerm_role_assignment.vault_writer]
}

# What `load` sends to ingest by, and the file by which ingest knows it. Whoever adds lines to that file does so in
# Key Vault; they stay until secrets_version is raised.
resource "azurerm_key_vault_secret" "load_key" {
  name             = "load-key"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = ephemeral.random_password.load.result
  value_wo_version = var.secrets_version

  depends_on = [azurerm_role_assignment.vault_writer]
}

ephemeral "azurerm_key_vault_secret" "load_key" {
  name         = azurerm_key_vault_secret.load_key.name
  key_vault_id = azurerm_key_vault.this.id
}

resource "azurerm_key_vault_secret" "api_keys" {
  name             = "api-keys"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = "load ingest,read ${sha256(ephemeral.azurerm_key_vault_secret.load_key.value)}"
  value_wo_version = var.secrets_version
}

locals {
  postgres_user = "freshet:${ephemeral.azurerm_key_vault_secret.postgres.value}"
  postgres_host = "${azurerm_postgresql_flexible_server.this.fqdn}:5432"
  redis_key     = azurerm_managed_redis.this.default_database[0].primary_access_key
  redis_host    = "${azurerm_managed_redis.this.hostname}:${azurerm_managed_redis.this.default_database[0].port}"
  mongo_user    = "freshet:${random_password.mongo.result}"
  mongo_host    = "${azurerm_mongo_cluster.this.name}.global.mongocluster.cosmos.azure.com"
  verified      = "sslmode=verify-full&sslrootcert=system"
}

resource "azurerm_key_vault_secret" "database_url" {
  name             = "database-url"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = "postgresql://${local.postgres_user}@${local.postgres_host}/freshet?${local.verified}"
  value_wo_version = var.secrets_version
}

resource "azurerm_key_vault_secret" "feast_registry" {
  name             = "feast-registry"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = "postgresql+psycopg://${local.postgres_user}@${local.postgres_host}/freshet?${local.verified}"
  value_wo_version = var.secrets_version
}

resource "azurerm_key_vault_secret" "mlflow_database_url" {
  name             = "mlflow-database-url"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = "postgresql+psycopg://${local.postgres_user}@${local.postgres_host}/mlflow?${local.verified}"
  value_wo_version = var.secrets_version
}

resource "azurerm_key_vault_secret" "prefect_database_url" {
  name             = "prefect-database-url"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = "postgresql+asyncpg://${local.postgres_user}@${local.postgres_host}/prefect?ssl=verify-full"
  value_wo_version = var.secrets_version
}

resource "azurerm_key_vault_secret" "redis_url" {
  name             = "redis-url"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = "rediss://:${urlencode(local.redis_key)}@${local.redis_host}/0"
  value_wo_version = var.secrets_version
}

resource "azurerm_key_vault_secret" "feast_redis" {
  name             = "feast-redis"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = "${local.redis_host},db=0,password=${local.redis_key},ssl=true"
  value_wo_version = var.secrets_version
}

resource "azurerm_key_vault_secret" "event_store_url" {
  name             = "event-store-url"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = "mongodb+srv://${local.mongo_user}@${local.mongo_host}/freshet?tls=true&retryWrites=false"
  value_wo_version = var.secrets_version
}

# Event Hubs' user is "$ConnectionString", its password this: FRESHET_KAFKA_USERNAME and _PASSWORD of the overlay.
resource "azurerm_key_vault_secret" "kafka_password" {
  name             = "kafka-password"
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = azurerm_eventhub_namespace_authorization_rule.freshet.primary_connection_string
  value_wo_version = var.secrets_version
}
