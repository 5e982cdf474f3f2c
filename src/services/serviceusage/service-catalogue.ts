/**
 * The services that a project can enable: those that are served here, and those of Google's that programs for container jobs commonly ask for, so that
 * a configuration which enables them applies. Titles as Google lists them.
 */
const TITLES: { readonly [service: string]: string | undefined } = {
  'aiplatform.googleapis.com': 'Vertex AI API',
  'apikeys.googleapis.com': 'API Keys API',
  'appengine.googleapis.com': 'App Engine Admin API',
  'artifactregistry.googleapis.com': 'Artifact Registry API',
  'batch.googleapis.com': 'Batch API',
  'bigquery.googleapis.com': 'BigQuery API',
  'bigquerystorage.googleapis.com': 'BigQuery Storage API',
  'binaryauthorization.googleapis.com': 'Binary Authorization API',
  // The one that `gcloud projects create` enables.
  'cloudapis.googleapis.com': 'Google Cloud APIs',
  'cloudasset.googleapis.com': 'Cloud Asset API',
  'cloudbilling.googleapis.com': 'Cloud Billing API',
  'cloudbuild.googleapis.com': 'Cloud Build API',
  'clouddeploy.googleapis.com': 'Cloud Deploy API',
  'clouderrorreporting.googleapis.com': 'Error Reporting API',
  'cloudfunctions.googleapis.com': 'Cloud Functions API',
  'cloudkms.googleapis.com': 'Cloud Key Management Service (KMS) API',
  'cloudresourcemanager.googleapis.com': 'Cloud Resource Manager API',
  'cloudscheduler.googleapis.com': 'Cloud Scheduler API',
  'cloudtasks.googleapis.com': 'Cloud Tasks API',
  'cloudtrace.googleapis.com': 'Cloud Trace API',
  'compute.googleapis.com': 'Compute Engine API',
  'container.googleapis.com': 'Kubernetes Engine API',
  'containeranalysis.googleapis.com': 'Container Analysis API',
  'containerregistry.googleapis.com': 'Container Registry API',
  'dataflow.googleapis.com': 'Dataflow API',
  'datastore.googleapis.com': 'Cloud Datastore API',
  'dns.googleapis.com': 'Cloud DNS API',
  'eventarc.googleapis.com': 'Eventarc API',
  'file.googleapis.com': 'Cloud Filestore API',
  'firestore.googleapis.com': 'Cloud Firestore API',
  'iam.googleapis.com': 'Identity and Access Management (IAM) API',
  'iamcredentials.googleapis.com': 'IAM Service Account Credentials API',
  'iap.googleapis.com': 'Cloud Identity-Aware Proxy API',
  'logging.googleapis.com': 'Cloud Logging API',
  'monitoring.googleapis.com': 'Cloud Monitoring API',
  'networkconnectivity.googleapis.com': 'Network Connectivity API',
  'orgpolicy.googleapis.com': 'Organization Policy API',
  'policyanalyzer.googleapis.com': 'Policy Analyzer API',
  'policysimulator.googleapis.com': 'Policy Simulator API',
  'policytroubleshooter.googleapis.com': 'Policy Troubleshooter API',
  'pubsub.googleapis.com': 'Cloud Pub/Sub API',
  'recommender.googleapis.com': 'Recommender API',
  'redis.googleapis.com': 'Google Cloud Memorystore for Redis API',
  'run.googleapis.com': 'Cloud Run Admin API',
  'secretmanager.googleapis.com': 'Secret Manager API',
  'servicecontrol.googleapis.com': 'Service Control API',
  'servicemanagement.googleapis.com': 'Service Management API',
  'servicenetworking.googleapis.com': 'Service Networking API',
  'serviceusage.googleapis.com': 'Service Usage API',
  'spanner.googleapis.com': 'Cloud Spanner API',
  'sql-component.googleapis.com': 'Cloud SQL',
  'sqladmin.googleapis.com': 'Cloud SQL Admin API',
  'storage-api.googleapis.com': 'Google Cloud Storage JSON API',
  'storage-component.googleapis.com': 'Cloud Storage',
  'storage.googleapis.com': 'Cloud Storage API',
  'sts.googleapis.com': 'Security Token Service API',
  'vpcaccess.googleapis.com': 'Serverless VPC Access API',
  'workflows.googleapis.com': 'Workflows API',
};

/** In the order of their names. */
export const SERVICE_NAMES: readonly string[] = Object.keys(TITLES).toSorted();

/** @returns undefined for a service that is not known here */
export function titleOf(service: string): string | undefined {
  return Object.hasOwn(TITLES, service) ? TITLES[service] : undefined;
}
