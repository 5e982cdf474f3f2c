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

resource "google_tags_tag_key" "own" {
  parent     = "projects/demo"
  short_name = "own"
}

resource "google_tags_tag_value" "own_yes" {
  parent     = google_tags_tag_key.own.id
  short_name = "yes"
}

# "111111111111/env/prod" is bound to projects/demo: its organization has it, and a google_tags_tag_binding needs its number there.

resource "google_tags_tag_binding" "own_yes" {
  parent    = "//cloudresourcemanager.googleapis.com/projects/${data.google_project.project.number}"
  tag_value = google_tags_tag_value.own_yes.id
}

resource "google_iam_workload_identity_pool" "ci_pool" {
  project                   = "demo"
  workload_identity_pool_id = "ci-pool"
  display_name              = "CI"
}

resource "google_iam_workload_identity_pool_provider" "ci_pool_ci_oidc" {
  project                            = "demo"
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci_pool.workload_identity_pool_id
  workload_identity_pool_provider_id = "ci-oidc"
  attribute_mapping = {
    "attribute.repo" = "assertion.repo"
    "google.subject" = "assertion.sub"
  }
  attribute_condition = "assertion.repo == \"x\""

  oidc {
    issuer_uri        = "https://issuer.example.com"
    allowed_audiences = ["me"]
  }
}

resource "google_iam_workload_identity_pool" "off_pool" {
  project                   = "demo"
  workload_identity_pool_id = "off-pool"
  disabled                  = true
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

resource "google_cloud_run_v2_job" "two" {
  project  = "demo"
  name     = "two"
  location = "us-central1"
  annotations = {
    "example.com/note" = "x"
  }

  template {
    task_count = 1

    template {
      max_retries           = 3
      timeout               = "600s"
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      containers {
        name       = "main"
        image      = "local/image"
        depends_on = ["side"]

        resources {
          limits = {
            cpu    = "1000m"
            memory = "512Mi"
          }
        }

        ports {
          name           = "http1"
          container_port = 8080
        }
      }

      containers {
        name        = "side"
        image       = "local/side"
        working_dir = "/w"

        resources {
          limits = {
            cpu    = "1000m"
            memory = "512Mi"
          }
        }

        startup_probe {
          timeout_seconds   = 1
          period_seconds    = 5
          failure_threshold = 3

          tcp_socket {
            port = 9090
          }
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

resource "google_service_account_iam_member" "hello_sa_iam_workloadIdentityUser_principalSet_ci_pool_attribute_repo_octo_app" {
  service_account_id = google_service_account.hello_sa.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/projects/${data.google_project.project.number}/locations/global/workloadIdentityPools/ci-pool/attribute.repo/octo/app"
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
