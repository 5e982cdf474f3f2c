# An API that is turned on, in a project that is read first.
data "google_project" "demo" {
  project_id = "demo"
}

resource "google_project_service" "scheduler" {
  project            = data.google_project.demo.project_id
  service            = "cloudscheduler.googleapis.com"
  disable_on_destroy = true
}
