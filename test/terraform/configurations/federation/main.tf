# Identities from outside: a pool, and whose tokens are taken in it.
variable "changed" {
  type    = bool
  default = false
}

resource "google_iam_workload_identity_pool" "ci" {
  project                   = "demo"
  workload_identity_pool_id = "terraform-ci"
  display_name              = "CI"
  description               = var.changed ? "Pipelines, changed" : "Pipelines"
}

resource "google_iam_workload_identity_pool_provider" "ci" {
  project                            = "demo"
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci.workload_identity_pool_id
  workload_identity_pool_provider_id = "terraform-ci-oidc"
  display_name                       = var.changed ? "CI, changed" : "CI"

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }
  attribute_condition = "assertion.repository == \"example/repository\""

  oidc {
    issuer_uri        = "https://token.actions.githubusercontent.com"
    allowed_audiences = ["https://example.com/terraform"]
  }
}
