# A job that runs as an account of its own, and who may run it.
variable "changed" {
  type    = bool
  default = false
}

resource "google_service_account" "runner" {
  project    = "demo"
  account_id = "terraform-job-sa"
}

resource "google_cloud_run_v2_job" "hello" {
  project             = "demo"
  name                = "terraform-hello"
  location            = "us-central1"
  deletion_protection = false
  labels = {
    team = "platform"
  }

  template {
    task_count  = var.changed ? 3 : 2
    parallelism = 1

    template {
      service_account = google_service_account.runner.email
      timeout         = "90s"
      max_retries     = 0

      containers {
        image   = "us-docker.pkg.dev/cloudrun/container/job:latest"
        command = ["/bin/hello"]
        args    = ["--as", "itself"]

        env {
          name  = "GREETING"
          value = var.changed ? "good day" : "hello"
        }

        resources {
          limits = {
            cpu    = "1"
            memory = "512Mi"
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

resource "google_cloud_run_v2_job_iam_member" "runner" {
  project  = google_cloud_run_v2_job.hello.project
  location = google_cloud_run_v2_job.hello.location
  name     = google_cloud_run_v2_job.hello.name
  role     = "roles/run.invoker"
  member   = "user:dev@example.com"
}
