output "registry" {
  description = "Host of the container registry, in front of freshet/... in images of the overlay."
  value       = azurerm_container_registry.this.login_server
}

output "cluster" {
  description = "Name of the cluster, for `az aks get-credentials`."
  value       = azurerm_kubernetes_cluster.this.name
}

output "kafka_bootstrap_servers" {
  description = "KAFKA_BOOTSTRAP_SERVERS of the overlay."
  value       = "${azurerm_eventhub_namespace.this.name}.servicebus.windows.net:9093"
}

output "vault_url" {
  description = "vaultUrl of the overlay's SecretStore."
  value       = azurerm_key_vault.this.vault_uri
}

output "secrets_reader_client_id" {
  description = "Client id in the annotation of the overlay's ServiceAccount external-secrets."
  value       = azurerm_user_assigned_identity.secrets.client_id
}

output "balancer_id" {
  description = "alb-id in the annotation of the overlay's Gateway."
  value       = azurerm_application_load_balancer.this.id
}

output "balancer_frontend" {
  description = "Name that the page's host name must lead to (CNAME)."
  value       = azurerm_application_load_balancer_frontend.page.fully_qualified_domain_name
}

output "balancer_client_id" {
  description = "Client id for the ALB controller's Helm chart."
  value       = azurerm_user_assigned_identity.balancer.client_id
}

output "offline_account" {
  description = "storageAccount of the overlay's StorageClass offline."
  value       = azurerm_storage_account.offline.name
}

output "resource_group" {
  description = "resourceGroup of the overlay's StorageClass offline."
  value       = azurerm_resource_group.this.name
}
