# Project demo, as `actas export --format=terraform` wrote it.

provider "google" {
  project = "demo"
}

data "google_project" "project" {
  project_id = "demo"
}

resource "google_service_account" "hello_sa" {
  project      = "demo"
  account_id   = "hello-sa"
  display_name = "Says \"hello\" for $${money}"
  description  = "it's %%{one}"
}

resource "google_service_account" "idle_sa" {
  project    = "demo"
  account_id = "idle-sa"
  disabled   = true
}

resource "google_project_iam_custom_role" "attach" {
  project     = "demo"
  role_id     = "attach"
  title       = "Attach"
  stage       = "GA"
  permissions = ["iam.serviceAccounts.actAs", "run.jobs.run"]
}

resource "google_cloud_run_v2_job" "hello" {
  project  = "demo"
  name     = "hello"
  location = "us-central1"
  labels = {
    team = "x"
  }

  template {
    parallelism = 2
    task_count  = 3

    template {
      service_account       = google_service_account.hello_sa.email
      max_retries           = 0
      timeout               = "90s"
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      containers {
        image   = "local/image"
        command = ["sh", "-c"]
        args    = ["echo \"$${HOME}\" %%{x}\nexit 0"]

        env {
          name  = "GREETING"
          value = "hi"
        }

        resources {
          limits = {
            cpu    = "2"
            memory = "1Gi"
          }
        }

        volume_mounts {
          name       = "scratch"
          mount_path = "/scratch"
        }
      }

      volumes {
        name = "scratch"

        empty_dir {
          medium     = "MEMORY"
          size_limit = "64Mi"
        }
      }
    }
  }
}

resource "google_cloud_run_v2_job" "plain" {
  project  = "demo"
  name     = "plain"
  location = "us-east1"

  template {
    task_count = 1

    template {
      max_retries           = 3
      timeout               = "600s"
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      containers {
        image = "local/image"

        resources {
          limits = {
            cpu    = "1000m"
            memory = "512Mi"
          }
        }
      }
    }
  }
}

resource "google_project_iam_member" "project_attach_group_team" {
  project = "demo"
  role    = google_project_iam_custom_role.attach.name
  member  = "group:team@example.com"
}

resource "google_project_iam_member" "project_run_developer_serviceAccount_hello_sa" {
  project = "demo"
  role    = "roles/run.developer"
  member  = "serviceAccount:${google_service_account.hello_sa.email}"
}

resource "google_project_iam_member" "project_run_developer_user_dev" {
  project = "demo"
  role    = "roles/run.developer"
  member  = "user:dev@example.com"
}

resource "google_project_iam_member" "project_run_viewer_user_temp" {
  project = "demo"
  role    = "roles/run.viewer"
  member  = "user:temp@example.com"

  condition {
    title      = "for a while"
    expression = "request.time < timestamp(\"2100-01-01T00:00:00Z\")"
  }
}

resource "google_service_account_iam_member" "hello_sa_iam_serviceAccountUser_user_dev" {
  service_account_id = google_service_account.hello_sa.name
  role               = "roles/iam.serviceAccountUser"
  member             = "user:dev@example.com"
}

resource "google_cloud_run_v2_job_iam_member" "hello_run_invoker_user_dev" {
  project  = "demo"
  location = "us-central1"
  name     = google_cloud_run_v2_job.hello.name
  role     = "roles/run.invoker"
  member   = "user:dev@example.com"
}

resource "google_iam_deny_policy" "no_deletes" {
  parent       = urlencode("cloudresourcemanager.googleapis.com/projects/demo")
  name         = "no-deletes"
  display_name = "No deletes"

  rules {
    description = "keep jobs"

    deny_rule {
      denied_principals    = ["principalSet://goog/public:all"]
      exception_principals = ["principal://goog/subject/owner@example.com"]
      denied_permissions   = ["run.googleapis.com/jobs.delete"]
    }
  }
}

resource "google_org_policy_policy" "gcp_resourceLocations" {
  name   = "projects/demo/policies/gcp.resourceLocations"
  parent = "projects/demo"

  spec {
    rules {
      values {
        allowed_values = ["in:us-locations"]
      }
    }
  }
}

resource "google_org_policy_policy" "iam_disableServiceAccountKeyCreation" {
  name   = "projects/demo/policies/iam.disableServiceAccountKeyCreation"
  parent = "projects/demo"

  spec {
    rules {
      enforce = "TRUE"
    }
  }
}
