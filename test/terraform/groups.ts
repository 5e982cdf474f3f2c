/** The configurations that are tried, and which resource types each of them proves. */
export interface Group {
  /** Its folder in configurations/. */
  readonly name: string;
  /** Types that it is there for; it may use others as well. */
  readonly types: readonly string[];
  /** One that is forgotten and imported again: its address, and the id that its documentation names. */
  readonly imported?: readonly [address: string, id: string];
  /** A field of it is Terraform's own, and no import brings it back: an apply comes before the empty plan. */
  readonly ownField?: true;
  /** Its plan grants on what only the server can name, a new folder: `actas iam diff` leaves that out, and says so. */
  readonly leavesOut?: true;
}

export const GROUPS: readonly Group[] = [
  {
    name: 'accounts',
    types: ['google_service_account', 'google_service_account_iam_member', 'google_service_account_key'],
    imported: ['google_service_account.hello', 'projects/demo/serviceAccounts/terraform-sa@demo.iam.gserviceaccount.com'],
  },
  {
    name: 'roles',
    types: ['google_project_iam_member', 'google_project_iam_binding', 'google_project_iam_custom_role'],
    imported: ['google_project_iam_custom_role.attach', 'projects/demo/roles/terraformAttach'],
  },
  { name: 'project-policy', types: ['google_project_iam_policy'], imported: ['google_project_iam_policy.all', 'shared'] },
  {
    name: 'organization-policies',
    types: ['google_org_policy_policy', 'google_project_organization_policy'],
    // Not google_org_policy_policy: google 4.9 forgets the parent in the name that it imports.
    imported: ['google_project_organization_policy.key_upload', 'projects/demo:constraints/iam.disableServiceAccountKeyUpload'],
  },
  {
    name: 'hierarchy',
    types: [
      'google_folder',
      'google_project',
      'google_folder_iam_member',
      'google_organization_iam_member',
      'google_organization_iam_custom_role',
      'google_folder_organization_policy',
      'google_organization_policy',
      'google_resource_manager_lien',
      'google_service_account_iam_binding',
      'google_tags_tag_key_iam_member',
    ],
    imported: ['google_project.data', 'terraform-data-1'],
    ownField: true,
    leavesOut: true,
  },
  { name: 'services', types: ['google_project_service'], imported: ['google_project_service.scheduler', 'demo/cloudscheduler.googleapis.com'], ownField: true },
  { name: 'tags', types: ['google_tags_tag_key', 'google_tags_tag_value', 'google_tags_tag_binding'] },
  {
    name: 'federation',
    types: ['google_iam_workload_identity_pool', 'google_iam_workload_identity_pool_provider'],
    imported: ['google_iam_workload_identity_pool.ci', 'projects/demo/locations/global/workloadIdentityPools/terraform-ci'],
  },
  {
    name: 'deny-policy',
    types: ['google_iam_deny_policy'],
    imported: ['google_iam_deny_policy.no_deletes', 'cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo/terraform-no-deletes'],
  },
  {
    name: 'job',
    types: ['google_cloud_run_v2_job', 'google_cloud_run_v2_job_iam_member'],
    imported: ['google_cloud_run_v2_job.hello', 'projects/demo/locations/us-central1/jobs/terraform-hello'],
    ownField: true,
  },
];
