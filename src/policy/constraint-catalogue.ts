/**
 * The constraints that organization policies can configure, less custom ones: what each restricts, and what holds where no policy says anything.
 * Those of services that are not served can be set and read, as Terraform and gcloud do, and restrict nothing here.
 * Source: https://docs.cloud.google.com/organization-policy/reference/org-policy-constraints
 */

/** A parameter of a managed constraint, as a rule's `parameters` give it. Every one that is served is a list of texts or a switch. */
export interface ConstraintParameter {
  readonly type: 'list' | 'boolean';
  readonly description: string;
}

export interface ConstraintDefinition {
  /** Without `constraints/`. */
  readonly id: string;
  readonly displayName: string;
  readonly description: string;
  readonly kind: 'boolean' | 'list';
  /** Enforced, or every value denied, where no policy says otherwise. */
  readonly deniedByDefault: boolean;
  /** List constraints: whether values may name groups (`in:us-locations`). */
  readonly supportsIn: boolean;
  /** List constraints: whether values may name subtrees (`under:folders/1`). */
  readonly supportsUnder: boolean;
  /** The legacy or managed constraint that restricts the same. */
  readonly equivalent: string | undefined;
  /** Of a managed constraint, by name. */
  readonly parameters: Readonly<Record<string, ConstraintParameter>>;
}

type Extra = Partial<Pick<ConstraintDefinition, 'deniedByDefault' | 'supportsIn' | 'supportsUnder' | 'equivalent' | 'parameters'>>;
type Row = readonly [id: string, displayName: string, description: string, extra?: Extra];

const DENIED: Extra = { deniedByDefault: true };
const IN: Extra = { supportsIn: true };
const UNDER: Extra = { supportsUnder: true };
const list = (description: string): ConstraintParameter => ({ type: 'list', description });
const instead = (equivalent: string, more: Extra = {}): Extra => ({ ...more, equivalent });

const BOOLEAN: readonly Row[] = [
  [
    'iam.disableCrossProjectServiceAccountUsage',
    'Disable Cross-Project Service Account Usage',
    'When enforced, service accounts can only be deployed to jobs and other resources of their own project.',
    DENIED,
  ],
  [
    'iam.restrictCrossProjectServiceAccountLienRemoval',
    'Restrict removal of Cross Project Service Account liens',
    "When enforced, a user can remove a project's cross-project service account lien only with resourcemanager.projects.updateLiens on the organization.",
  ],
  [
    'iam.automaticIamGrantsForDefaultServiceAccounts',
    'Disable Automatic IAM Grants for Default Service Accounts',
    'When enforced, default service accounts are made without the role Editor.',
  ],
  [
    'iam.disableServiceAccountCreation',
    'Disable service account creation',
    'When enforced, service accounts cannot be created.',
    instead('iam.managed.disableServiceAccountCreation'),
  ],
  [
    'iam.disableServiceAccountKeyCreation',
    'Disable service account key creation',
    'When enforced, keys of service accounts cannot be created.',
    instead('iam.managed.disableServiceAccountKeyCreation'),
  ],
  [
    'iam.disableServiceAccountKeyUpload',
    'Disable Service Account Key Upload',
    'When enforced, public keys cannot be uploaded to service accounts.',
    instead('iam.managed.disableServiceAccountKeyUpload'),
  ],
  ['iam.disableAuditLoggingExemption', 'Disable Audit Logging exemption', 'When enforced, principals cannot be exempted from audit logging.'],
  ['iam.disableWorkloadIdentityClusterCreation', 'Disable Workload Identity Cluster Creation', 'When enforced, clusters cannot be created with Workload Identity.'],
  [
    'iam.managed.disableServiceAccountCreation',
    'Disable service account creation',
    'When enforced, service accounts cannot be created.',
    instead('iam.disableServiceAccountCreation'),
  ],
  [
    'iam.managed.disableServiceAccountKeyCreation',
    'Disable service account key creation',
    'When enforced, keys of service accounts cannot be created.',
    instead('iam.disableServiceAccountKeyCreation'),
  ],
  [
    'iam.managed.disableServiceAccountKeyUpload',
    'Disable Service Account Key Upload',
    'When enforced, public keys cannot be uploaded to service accounts.',
    instead('iam.disableServiceAccountKeyUpload'),
  ],
  ['iam.managed.disableServiceAccountApiKeyCreation', 'Block service account API key bindings', 'When enforced, API keys cannot be created bound to a service account.', DENIED],
  [
    'iam.managed.allowedPolicyMembers',
    'Restrict allowed policy members in IAM allow policies',
    'When enforced, only the listed principals and principals of the listed sets can be granted roles.',
    instead('iam.allowedPolicyMemberDomains', {
      parameters: {
        allowedMemberSubjects: list('Principals that can be granted roles, as policies name them: user:alice@example.com.'),
        allowedPrincipalSets: list('Principal sets whose principals can be granted roles: //cloudresourcemanager.googleapis.com/organizations/123.'),
      },
    }),
  ],
  [
    'iam.managed.preventPrivilegedBasicRolesForDefaultServiceAccounts',
    'Prevent privileged basic roles for default service accounts',
    'When enforced, default service accounts cannot be granted the roles Owner and Editor.',
  ],
  [
    'iam.managed.workloadIdentityPoolProviders',
    'Allowed external identity providers for workloads',
    'When enforced, only the listed external identity providers can be configured for workload identity pools.',
    instead('iam.workloadIdentityPoolProviders', { parameters: { allowedProviders: list('URIs of the identity providers that can be configured.') } }),
  ],
  ['run.managed.requireInvokerIam', 'Require IAM invoker check for Cloud Run services', 'When enforced, the IAM check of invokers cannot be disabled.'],
  [
    'essentialcontacts.managed.allowedContactDomains',
    'Restrict allowed domains for essential contacts',
    'When enforced, only contacts of the listed domains can be set.',
    instead('essentialcontacts.allowedContactDomains', { parameters: { allowedDomains: list('Domains with their at sign: @example.com.') } }),
  ],
  [
    'compute.managed.restrictProtocolForwardingCreationForTypes',
    'Restrict protocol forwarding based on type of IP address',
    'When enforced, forwarding rules with a target instance can only be of the listed types.',
    { parameters: { allowedSchemes: list('INTERNAL, EXTERNAL.') } },
  ],
  ['compute.managed.blockPreviewFeatures', 'Block Compute Engine preview features', 'When enforced, features in preview cannot be used.', DENIED],
  ['container.managed.autopilotPrivilegedAdmission', 'Restrict privileged workloads in Autopilot', 'When enforced, clusters cannot admit privileged workloads.', DENIED],
  [
    'cloudbuild.disableCreateDefaultServiceAccount',
    'Disable Create Default Service Account (Cloud Build)',
    'When enforced, the legacy account of Cloud Build is not created.',
    DENIED,
  ],
  ['cloudbuild.useBuildServiceAccount', 'Use Cloud Build Service Account (Cloud Build)', 'When enforced, the legacy account of Cloud Build is used by default.', DENIED],
  ['cloudbuild.useComputeServiceAccount', 'Use Compute Engine Service Account by Default (Cloud Build)', 'When enforced, the Compute Engine account is used by default.', DENIED],
  ['appengine.runtimeDeploymentExemption', 'Runtime deployment exemption (App Engine)', 'Exempts runtimes from the end of their support.', DENIED],
  ['compute.requireOsLogin', 'Require OS Login', 'When enforced, virtual machines are made with OS Login.'],
  ['compute.requireShieldedVm', 'Shielded VMs', 'When enforced, virtual machines need Shielded disk images.'],
  ['compute.disableSerialPortAccess', 'Disable VM serial port access', 'When enforced, serial ports of virtual machines cannot be reached.'],
  ['compute.disableNestedVirtualization', 'Disable VM nested virtualization', 'When enforced, nested virtualization is off.'],
  ['compute.disableGuestAttributesAccess', 'Disable Guest Attributes of Compute Engine Metadata', 'When enforced, guest attributes cannot be read through the API.'],
  ['compute.skipDefaultNetworkCreation', 'Skip default network creation', 'When enforced, projects are made without a default network.'],
  ['storage.uniformBucketLevelAccess', 'Enforce uniform bucket-level access', 'When enforced, buckets need uniform bucket-level access.'],
  ['storage.publicAccessPrevention', 'Enforce Public Access Prevention', 'When enforced, buckets and objects cannot be public.'],
  ['sql.restrictPublicIp', 'Restrict Public IP access on Cloud SQL instances', 'When enforced, Cloud SQL instances cannot have public addresses.'],
  ['sql.restrictAuthorizedNetworks', 'Restrict Authorized Networks on Cloud SQL instances', 'When enforced, Cloud SQL instances cannot have authorized networks.'],
  ['gcp.detailedAuditLoggingMode', 'Google Cloud Platform - Detailed Audit Logging Mode', 'When enforced, audit logs hold requests and responses of Cloud Storage.'],
];

const LIST: readonly Row[] = [
  ['iam.serviceAccountKeyExpiryHours', 'Service account key expiry duration in hours', 'How long keys of service accounts are valid from their creation.'],
  ['iam.serviceAccountKeyExposureResponse', 'Service account key exposure response', 'What happens when a key is found to be exposed: DISABLE_KEY or WAIT_FOR_ABUSE.', DENIED],
  [
    'iam.allowServiceAccountCredentialLifetimeExtension',
    'Allow extending lifetime of OAuth 2.0 access tokens to up to 12 hours',
    'The service accounts whose access tokens may live up to 12 hours instead of one.',
    DENIED,
  ],
  [
    'iam.allowedPolicyMemberDomains',
    'Domain restricted sharing',
    'The customers (C0abcdefg) and principal sets whose principals can be granted roles.',
    instead('iam.managed.allowedPolicyMembers'),
  ],
  [
    'iam.workloadIdentityPoolProviders',
    'Allowed external Identity Providers for workloads in Cloud IAM',
    'URIs of the identity providers that can be configured for workload identity pools.',
    instead('iam.managed.workloadIdentityPoolProviders'),
  ],
  ['iam.workloadIdentityPoolAwsAccounts', 'Allowed AWS accounts that can be configured for workload identity federation in Cloud IAM', 'Ids of the AWS accounts.'],
  ['run.allowedIngress', 'Allowed ingress settings (Cloud Run)', 'Ingress settings of services: all, internal, internal-and-cloud-load-balancing.'],
  ['run.allowedVPCEgress', 'Allowed VPC egress settings (Cloud Run)', 'Egress settings of services and jobs: all-traffic, private-ranges-only.'],
  ['run.allowedBinaryAuthorizationPolicies', 'Allowed Binary Authorization Policies (Cloud Run)', 'Names of the Binary Authorization policies that services and jobs can use.'],
  ['gcp.resourceLocations', 'Google Cloud Platform - Resource Location Restriction', 'Locations where resources can be created.', IN],
  ['gcp.restrictServiceUsage', 'Restrict Resource Service Usage', 'Services whose resources can be used.', IN],
  ['gcp.restrictNonCmekServices', 'Restrict which services may create resources without CMEK', 'Services whose resources need customer-managed keys.', IN],
  ['gcp.restrictCmekCryptoKeyProjects', 'Restrict which projects may supply KMS CryptoKeys for CMEK', 'Projects, folders and organizations whose keys can be used.', UNDER],
  ['gcp.restrictTLSVersion', 'Restrict TLS Versions', 'Versions of TLS that are refused.'],
  ['essentialcontacts.allowedContactDomains', 'Domain restricted contacts', 'Domains of essential contacts.', instead('essentialcontacts.managed.allowedContactDomains')],
  ['compute.vmExternalIpAccess', 'Define allowed external IPs for VM instances', 'Virtual machines that can have external addresses.', UNDER],
  ['compute.trustedImageProjects', 'Define trusted image projects', 'Projects whose images can be booted.', UNDER],
  ['compute.restrictSharedVpcSubnetworks', 'Restrict Shared VPC Subnetworks', 'Subnetworks that can be used.', UNDER],
  ['compute.restrictVpcPeering', 'Restrict VPC peering usage', 'Networks that can be peered with.', UNDER],
  ['compute.sharedReservationsOwnerProjects', 'Shared Reservations Owner Projects', 'Projects that can own shared reservations.', { ...DENIED, ...UNDER }],
  ['commerceorggovernance.marketplaceServices', 'Restrict access on marketplace services', 'Marketplace services that can be used.', { ...DENIED, ...IN }],
  ['resourcemanager.allowedExportDestinations', 'Allowed Destinations for Exporting Resources', 'Organizations to which projects can be moved.', { ...DENIED, ...UNDER }],
  ['resourcemanager.allowedImportSources', 'Allowed Sources for Importing Resources', 'Organizations from which projects can be moved.', { ...DENIED, ...UNDER }],
  ['resourcemanager.allowEnabledServicesForExport', 'Allowed Google Cloud services for exporting resources', 'Services that may be enabled in a project that is moved.', DENIED],
  ['vertexai.allowedPartnerModelFeatures', 'Define additional feature access for Partner Models', 'Features of partner models that can be used.', DENIED],
  ['vertexai.allowedModels', 'Define access to Google proprietary models', 'Models that can be used.'],
];

const define = (kind: ConstraintDefinition['kind'], [id, displayName, description, extra]: Row): ConstraintDefinition => ({
  id,
  displayName,
  description,
  kind,
  deniedByDefault: false,
  supportsIn: false,
  supportsUnder: false,
  equivalent: undefined,
  parameters: {},
  ...extra,
});

const CATALOGUE: ReadonlyMap<string, ConstraintDefinition> = new Map(
  [...BOOLEAN.map((row) => define('boolean', row)), ...LIST.map((row) => define('list', row))].toSorted((a, b) => (a.id < b.id ? -1 : 1)).map((one) => [one.id, one]),
);

/** @param id without `constraints/` @returns undefined for one that is not known, custom ones among them */
export function findConstraint(id: string): ConstraintDefinition | undefined {
  return CATALOGUE.get(id);
}

/** All, in the order of their ids. */
export function listConstraints(): readonly ConstraintDefinition[] {
  return [...CATALOGUE.values()];
}

export function isCustomConstraint(id: string): boolean {
  return id.startsWith('custom.');
}

/** Managed constraints run on the engine of custom ones: their rules can have parameters, and their errors are of that form. */
export function isManagedConstraint(id: string): boolean {
  return id.includes('.managed.');
}
