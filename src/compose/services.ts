import { issueToken } from '../identity/issue.ts';
import type { ExplainingAuthorizer } from '../policy/authorizer.ts';
import type { RoleCatalogue } from '../policy/catalogue.ts';
import { createConstraintChecks } from '../policy/constraint-checks.ts';
import type { OrgPolicyEngine } from '../policy/org-policy.ts';
import type { StatusFacts } from '../services/control/control.ts';
import { DENY_POLICY_OPERATIONS } from '../services/iam/operations-outline.ts';
import { RESOURCE_MANAGER_OPERATIONS } from '../services/resourcemanager/operations-outline.ts';
import { RUN_OPERATIONS } from '../services/run/operations-outline.ts';
import type { Api } from '../services/service.ts';
import { SERVICE_USAGE_OPERATIONS } from '../services/serviceusage/operations-outline.ts';
import { POOL_OPERATIONS } from '../services/workloadidentity/operations-outline.ts';
import type { Store } from '../store/database.ts';
import type { LogStore } from '../store/log-store.ts';
import { findProject } from '../store/projects.ts';
import type { SecretKeyring } from '../store/secret-keyring.ts';
import { type ApiDeclaration, defineApi } from './api.ts';
import type { Identity } from './identity.ts';
import { rotateSecretsKey } from './secret-keys.ts';

/** What services are made of: each takes what it needs. */
export interface ServiceParts {
  readonly store: Store;
  readonly logs: LogStore;
  /** What payloads of secrets are encrypted under. */
  readonly keyring: SecretKeyring;
  readonly catalogue: RoleCatalogue;
  readonly authorizer: ExplainingAuthorizer;
  readonly orgPolicies: OrgPolicyEngine;
  readonly identity: Identity;
  /** Whether the holder of the owner's token may get tokens of others. */
  readonly issuesTokens: boolean;
  /** Quotas of Cloud Run that are to hold here. */
  readonly limits: { readonly jobsPerRegion?: number; readonly runningExecutionsPerRegion?: number };
}

/**
 * Every API: its host, the services of the protos that it serves, and where they are made. What `load` imports is loaded by the first
 * request that wants it; nothing else may import a folder of services, or the start pays for it.
 */
export function createApis(given: ServiceParts, status: () => StatusFacts): readonly Api[] {
  const parts = { ...given, constraints: createConstraintChecks(given.orgPolicies) };
  const { store, logs, identity } = parts;
  const declarations: readonly ApiDeclaration[] = [
    {
      host: 'run.googleapis.com',
      serves: ['google.cloud.run.v2.Jobs', 'google.cloud.run.v2.Executions', 'google.cloud.run.v2.Tasks'],
      operations: RUN_OPERATIONS,
      load: async () => (await import('../services/run/run.ts')).createRunServices(parts),
    },
    {
      host: 'run.googleapis.com',
      serves: ['google.cloud.run.v1.Namespaces', 'google.cloud.run.v1.ProjectLocations'],
      load: async () => (await import('../services/run/v1/run-v1.ts')).createRunV1Services(parts),
    },
    {
      host: 'iam.googleapis.com',
      serves: ['google.iam.admin.v1.IAM'],
      load: async () => [(await import('../services/iam/iam.ts')).createIamService({ ...parts, accountKeys: identity.accountKeys, url: () => status().url })],
    },
    {
      host: 'iam.googleapis.com',
      serves: ['google.iam.v2.Policies'],
      operations: DENY_POLICY_OPERATIONS,
      // google-beta, Terraform's provider, calls it so.
      formerly: ['v2', 'v2beta'],
      load: async () => (await import('../services/iam/deny.ts')).createDenyServices(parts),
    },
    {
      host: 'iamcredentials.googleapis.com',
      serves: ['google.iam.credentials.v1.IAMCredentials'],
      load: async () => [(await import('../services/iamcredentials/iamcredentials.ts')).createCredentialsService(parts)],
    },
    {
      host: 'oauth2.googleapis.com',
      serves: ['google.oauth2.OAuth2'],
      load: async () => [(await import('../services/oauth2/oauth2.ts')).createOAuthService(parts)],
    },
    {
      host: 'www.googleapis.com',
      serves: ['google.oauth2.LegacyOAuth2', 'google.oauth2.UserInfo', 'google.oauth2.AccountCertificates'],
      load: async () => (await import('../services/oauth2/oauth2.ts')).createGoogleApisServices(parts),
    },
    {
      host: 'openidconnect.googleapis.com',
      serves: ['google.oauth2.OpenIdConnect'],
      load: async () => [(await import('../services/oauth2/user-info.ts')).createOpenIdConnectService()],
    },
    {
      host: 'iam.googleapis.com',
      serves: ['google.iam.v1.WorkloadIdentityPools'],
      operations: POOL_OPERATIONS,
      // google-beta, Terraform's provider, calls it so.
      formerly: ['v1', 'v1beta'],
      load: async () => (await import('../services/workloadidentity/workload-identity.ts')).createWorkloadIdentityServices(parts),
    },
    {
      host: 'sts.googleapis.com',
      serves: ['google.identity.sts.v1.SecurityTokenService'],
      load: async () => [(await import('../services/sts/sts.ts')).createStsService({ store, tokens: identity.tokens, oidc: identity.oidc })],
    },
    {
      host: 'cloudresourcemanager.googleapis.com',
      serves: [
        'google.cloud.resourcemanager.v3.Projects',
        'google.cloud.resourcemanager.v3.Folders',
        'google.cloud.resourcemanager.v3.Organizations',
        'google.cloud.resourcemanager.v2.Folders',
        'google.cloudresourcemanager.v1.Projects',
        'google.cloudresourcemanager.v1.Organizations',
        'google.cloudresourcemanager.v1.Liens',
        'google.cloud.resourcemanager.v3.TagKeys',
        'google.cloud.resourcemanager.v3.TagValues',
        'google.cloud.resourcemanager.v3.TagBindings',
        'google.cloud.resourcemanager.v3.TagHolds',
      ],
      operations: RESOURCE_MANAGER_OPERATIONS,
      load: async () => (await import('../services/resourcemanager/resource-manager.ts')).createResourceManagerServices(parts),
    },
    {
      host: 'orgpolicy.googleapis.com',
      serves: ['google.cloud.orgpolicy.v2.OrgPolicy'],
      load: async () => (await import('../services/orgpolicy/orgpolicy.ts')).createOrgPolicyServices(parts),
    },
    {
      host: 'cloudresourcemanager.googleapis.com',
      serves: ['google.cloudresourcemanager.v1.OrgPolicies'],
      load: async () => [(await import('../services/orgpolicy/v1.ts')).createOrgPoliciesV1Service(parts)],
    },
    {
      host: 'serviceusage.googleapis.com',
      serves: ['google.api.serviceusage.v1.ServiceUsage'],
      operations: SERVICE_USAGE_OPERATIONS,
      load: async () => (await import('../services/serviceusage/serviceusage.ts')).createServiceUsageServices(parts),
    },
    {
      host: 'cloudbilling.googleapis.com',
      serves: ['google.cloud.billing.v1.CloudBilling'],
      load: async () => [(await import('../services/cloudbilling/cloudbilling.ts')).createBillingService(parts)],
    },
    {
      host: 'secretmanager.googleapis.com',
      serves: ['google.cloud.secretmanager.v1.SecretManagerService'],
      load: async () => [(await import('../services/secretmanager/secretmanager.ts')).createSecretManagerService(parts)],
    },
    {
      host: 'logging.googleapis.com',
      serves: ['google.logging.v2.LoggingServiceV2'],
      load: async () => [
        (await import('../services/logging/logging.ts')).createLoggingService({
          logs,
          async findProject(asked) {
            const project = await findProject(store.read, asked);
            return project === undefined ? undefined : { id: project.project_id, number: project.number };
          },
        }),
      ],
    },
    {
      host: 'policytroubleshooter.googleapis.com',
      serves: [
        'google.cloud.policytroubleshooter.v1.IamChecker',
        'google.cloud.policytroubleshooter.v2alpha1.IamChecker',
        'google.cloud.policytroubleshooter.iam.v3.PolicyTroubleshooter',
      ],
      load: async () => (await import('../services/policytroubleshooter/policytroubleshooter.ts')).createTroubleshooterServices(parts),
    },
    {
      host: 'actas.internal',
      serves: ['actas.v1.Explanations'],
      load: async () => [(await import('../services/explain/explain.ts')).createExplainService(parts)],
    },
    {
      host: 'actas.internal',
      serves: ['actas.v1.Control'],
      load: async () => [
        (await import('../services/control/control.ts')).createControlService({
          mint: (principal, options) => issueToken(principal, identity, options),
          issuesTokens: parts.issuesTokens,
          status,
          rotateSecretsKey: () => rotateSecretsKey(store, parts.keyring),
        }),
      ],
    },
    {
      host: 'actas.internal',
      serves: ['actas.v1.Roles'],
      load: async () => [(await import('../services/imported-roles/imported-roles.ts')).createImportedRoleService(parts)],
    },
    {
      host: 'actas.internal',
      serves: ['actas.v1.Groups'],
      load: async () => [(await import('../services/groups/groups.ts')).createGroupService(parts)],
    },
    {
      host: 'actas.internal',
      serves: ['actas.v1.JobChecks'],
      load: async () => [(await import('../services/run/check-service.ts')).createJobCheckService(parts)],
    },
    {
      host: 'run.googleapis.com',
      serves: ['google.cloud.run.v2.Services', 'google.cloud.run.v2.Revisions', 'google.cloud.run.v2.WorkerPools', 'google.cloud.run.v2.Instances', 'google.cloud.run.v2.Builds'],
      load: async () => (await import('../services/unserved.ts')).createUnservedRunServices(),
    },
  ];
  return declarations.map(defineApi);
}
