# Organization policies in both forms that the provider has: v1 (google_project_organization_policy) and v2 (google_org_policy_policy).
variable "changed" {
  type    = bool
  default = false
}

resource "google_org_policy_policy" "cross_project" {
  name   = "projects/demo/policies/iam.disableCrossProjectServiceAccountUsage"
  parent = "projects/demo"

  spec {
    rules {
      enforce = var.changed ? "TRUE" : "FALSE"
    }
  }
}

resource "google_org_policy_policy" "locations" {
  name   = "projects/demo/policies/gcp.resourceLocations"
  parent = "projects/demo"

  spec {
    inherit_from_parent = true

    rules {
      values {
        allowed_values = var.changed ? ["in:us-locations", "in:eu-locations"] : ["in:us-locations"]
      }
    }
  }
}

resource "google_project_organization_policy" "key_upload" {
  project    = "demo"
  constraint = "constraints/iam.disableServiceAccountKeyUpload"

  boolean_policy {
    enforced = var.changed ? false : true
  }
}

resource "google_project_organization_policy" "domains" {
  project    = "shared"
  constraint = "constraints/iam.allowedPolicyMemberDomains"

  list_policy {
    allow {
      all = true
    }
  }
}
