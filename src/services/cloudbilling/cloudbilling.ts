/**
 * Cloud Billing v1, as much of it as others need to read a project: that no billing account pays for it. Terraform's google provider asks
 * with each `google_project`, the data source too, and gives up without an answer.
 */
import { invalidRequest, notFound } from '../../errors.ts';
import { CloudBilling } from '../../gen/google/cloud/billing/v1/cloud_billing_pb.js';
import type { Store } from '../../store/database.ts';
import { findProject } from '../../store/projects.ts';
import { type AnyService, defineService } from '../service.ts';

export function createBillingService({ store }: { readonly store: Store }): AnyService {
  return defineService<typeof CloudBilling>({
    desc: CloudBilling,
    host: 'cloudbilling.googleapis.com',
    legacyErrors: false,
    denied: () => 'The caller does not have permission',
    methods: {
      getProjectBillingInfo: {
        // Source: the comment of the method in google/cloud/billing/v1/cloud_billing.proto.
        access: { checks: ({ name }) => [{ permission: 'resourcemanager.projects.get', resource: `//cloudresourcemanager.googleapis.com/projects/${parseProject(name)}` }] },
        async handle({ name }) {
          const key = parseProject(name);
          const row = await findProject(store.read, key);
          if (row === undefined || row.state !== 'ACTIVE') throw notFound(`Project '${key}' not found or deleted.`);
          return { name: `projects/${row.project_id}/billingInfo`, projectId: row.project_id, billingEnabled: false };
        },
      },
      getBillingAccount: 'unimplemented',
      listBillingAccounts: 'unimplemented',
      updateBillingAccount: 'unimplemented',
      createBillingAccount: 'unimplemented',
      listProjectBillingInfo: 'unimplemented',
      updateProjectBillingInfo: 'unimplemented',
      getIamPolicy: 'unimplemented',
      setIamPolicy: 'unimplemented',
      testIamPermissions: 'unimplemented',
      moveBillingAccount: 'unimplemented',
    },
  });
}

/** @returns the project's id or number @throws INVALID_ARGUMENT */
function parseProject(name: string): string {
  const project = /^projects\/([a-z0-9][a-z0-9.:-]{0,62})$/.exec(name)?.[1];
  if (project === undefined)
    throw invalidRequest(`name: ${JSON.stringify(name)} is not a project. Write projects/PROJECT_ID.`, [{ field: 'name', description: 'must be projects/PROJECT_ID' }]);
  return project;
}
