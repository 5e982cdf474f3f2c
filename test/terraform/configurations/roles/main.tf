# Grants on a project, one member and one role at a time, and a role of its own.
variable "changed" {
  type    = bool
  default = false
}

resource "google_project_iam_custom_role" "attach" {
  project     = "demo"
  role_id     = "terraformAttach"
  title       = "Attach"
  description = "Attach accounts to jobs"
  stage       = "GA"
  permissions = var.changed ? ["iam.serviceAccounts.actAs", "run.jobs.get", "run.jobs.run"] : ["iam.serviceAccounts.actAs", "run.jobs.run"]
}

resource "google_project_iam_member" "developer" {
  project = "demo"
  role    = "roles/run.developer"
  member  = "user:dev@example.com"
}

resource "google_project_iam_member" "own_role" {
  project = "demo"
  role    = google_project_iam_custom_role.attach.id
  member  = "group:team@example.com"

  condition {
    title       = "for a while"
    description = "until the next century"
    expression  = "request.time < timestamp(\"2100-01-01T00:00:00Z\")"
  }
}

resource "google_project_iam_binding" "viewers" {
  project = "demo"
  role    = "roles/run.viewer"
  members = var.changed ? ["user:dev@example.com", "user:ops@example.com"] : ["user:dev@example.com"]
}
