# A tag key, one of its values, and a project that carries it.
variable "changed" {
  type    = bool
  default = false
}

resource "google_tags_tag_key" "environment" {
  parent      = "organizations/111111111111"
  short_name  = "terraform-environment"
  description = var.changed ? "What it is for" : "Which environment"
}

resource "google_tags_tag_value" "production" {
  parent      = google_tags_tag_key.environment.id
  short_name  = "production"
  description = var.changed ? "What users see, changed" : "What users see"
}

resource "google_tags_tag_binding" "demo" {
  parent    = "//cloudresourcemanager.googleapis.com/projects/123456789012"
  tag_value = google_tags_tag_value.production.id
}
