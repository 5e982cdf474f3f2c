# An API that is turned on.
resource "google_project_service" "scheduler" {
  project            = "demo"
  service            = "cloudscheduler.googleapis.com"
  disable_on_destroy = true
}
