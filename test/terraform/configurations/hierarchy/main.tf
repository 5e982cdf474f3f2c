# A folder, a project in it, and who may do what there.
variable "changed" {
  type    = bool
  default = false
}

resource "google_folder" "data" {
  display_name = var.changed ? "terraform-data-2" : "terraform-data"
  parent       = "organizations/111111111111"
}

resource "google_project" "data" {
  project_id = "terraform-data-1"
  name       = var.changed ? "Data two" : "Data"
  folder_id  = google_folder.data.name
  labels = {
    team = "data"
  }
}

resource "google_folder_iam_member" "viewer" {
  folder = google_folder.data.name
  role   = "roles/run.viewer"
  member = "user:dev@example.com"
}

resource "google_organization_iam_custom_role" "runner" {
  org_id      = "111111111111"
  role_id     = "terraformRunner"
  title       = "Runner"
  permissions = ["run.jobs.run"]
}

resource "google_organization_iam_member" "runner" {
  org_id = "111111111111"
  role   = google_organization_iam_custom_role.runner.name
  member = "user:dev@example.com"
}

resource "google_folder_organization_policy" "keys" {
  folder     = google_folder.data.name
  constraint = "constraints/iam.disableServiceAccountKeyUpload"

  boolean_policy {
    enforced = true
  }
}

resource "google_organization_policy" "creation" {
  org_id     = "111111111111"
  constraint = "constraints/iam.disableServiceAccountCreation"

  boolean_policy {
    enforced = false
  }
}

resource "google_resource_manager_lien" "keep" {
  parent       = "projects/${google_project.data.number}"
  restrictions = ["resourcemanager.projects.delete"]
  origin       = "terraform"
  reason       = "It holds data"
}

resource "google_service_account" "reader" {
  project    = google_project.data.project_id
  account_id = "reader-sa"
}

resource "google_service_account_iam_binding" "users" {
  service_account_id = google_service_account.reader.name
  role               = "roles/iam.serviceAccountUser"
  members            = var.changed ? ["user:dev@example.com", "user:ops@example.com"] : ["user:dev@example.com"]
}

resource "google_tags_tag_key" "key" {
  parent     = "organizations/111111111111"
  short_name = "terraform-key"
}

resource "google_tags_tag_key_iam_member" "viewer" {
  tag_key = google_tags_tag_key.key.name
  role    = "roles/resourcemanager.tagViewer"
  member  = "user:dev@example.com"
}

data "google_organization" "example" {
  organization = "organizations/111111111111"
}
