# What nobody may do but one account.
variable "changed" {
  type    = bool
  default = false
}

resource "google_iam_deny_policy" "no_deletes" {
  parent       = urlencode("cloudresourcemanager.googleapis.com/projects/demo")
  name         = "terraform-no-deletes"
  display_name = var.changed ? "No deletes at all" : "No deletes"

  rules {
    description = "Keep the jobs"

    deny_rule {
      denied_principals    = ["principalSet://goog/public:all"]
      exception_principals = ["principal://goog/subject/owner@example.com"]
      denied_permissions   = ["run.googleapis.com/jobs.delete"]

      denial_condition {
        title      = "but in test"
        expression = "!resource.matchTag('111111111111/environment', 'test')"
      }
    }
  }
}
