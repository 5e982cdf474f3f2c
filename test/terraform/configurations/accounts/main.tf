# A service account, grants on it and to it, and a key. Keys are refused by an organization policy until the project turns it off.
variable "changed" {
  type    = bool
  default = false
}

resource "google_service_account" "hello" {
  project      = "demo"
  account_id   = "terraform-sa"
  display_name = var.changed ? "Changed by Terraform" : "Made by Terraform"
  description  = "Runs the job"
}

resource "google_service_account_iam_member" "attach" {
  service_account_id = google_service_account.hello.name
  role               = "roles/iam.serviceAccountUser"
  member             = "user:dev@example.com"
}

resource "google_service_account_iam_member" "for_a_while" {
  service_account_id = google_service_account.hello.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "user:dev@example.com"

  condition {
    title      = "for a while"
    expression = "request.time < timestamp(\"2100-01-01T00:00:00Z\")"
  }
}

resource "google_project_iam_member" "hello" {
  project = "demo"
  role    = "roles/run.viewer"
  member  = "serviceAccount:${google_service_account.hello.email}"
}

resource "google_project_organization_policy" "keys" {
  project    = "demo"
  constraint = "constraints/iam.disableServiceAccountKeyCreation"

  boolean_policy {
    enforced = false
  }
}

resource "google_service_account_key" "key" {
  service_account_id = google_service_account.hello.name
  depends_on         = [google_project_organization_policy.keys]
}
