# The whole allow policy of a project, which takes away what others granted there.
variable "changed" {
  type    = bool
  default = false
}

data "google_iam_policy" "all" {
  binding {
    role    = "roles/owner"
    members = ["user:owner@example.com"]
  }

  binding {
    role    = "roles/run.viewer"
    members = var.changed ? ["user:dev@example.com", "user:ops@example.com"] : ["user:dev@example.com"]
  }
}

resource "google_project_iam_policy" "all" {
  project     = "shared"
  policy_data = data.google_iam_policy.all.policy_data
}
