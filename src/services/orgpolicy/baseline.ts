/**
 * The policies that Google gives new organizations, for those that are declared to have them.
 * Source: https://docs.cloud.google.com/resource-manager/docs/secure-by-default-organizations
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { PolicySchema, type PolicySpecSchema } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { customerId } from '../../policy/constraint-grants.ts';
import type { Tx } from '../../store/database.ts';
import { findOrgPolicy } from '../../store/org-policies.ts';
import type { Micros } from '../../timestamp.ts';
import { setOrgPolicy } from './set-policy.ts';

type Rule = NonNullable<MessageInitShape<typeof PolicySpecSchema>['rules']>[number];

function baseline(number: string, domain: string): Readonly<Record<string, Rule>> {
  const enforced: Rule = { kind: { case: 'enforce', value: true } };
  return {
    'iam.managed.disableServiceAccountKeyCreation': enforced,
    'iam.managed.disableServiceAccountKeyUpload': enforced,
    'iam.automaticIamGrantsForDefaultServiceAccounts': enforced,
    'iam.allowedPolicyMemberDomains': { kind: { case: 'values', value: { allowedValues: [`is:${customerId(number)}`] } } },
    'essentialcontacts.managed.allowedContactDomains': { ...enforced, parameters: { allowedDomains: [`@${domain}`] } },
    'compute.managed.restrictProtocolForwardingCreationForTypes': { ...enforced, parameters: { allowedSchemes: ['INTERNAL'] } },
    'storage.uniformBucketLevelAccess': enforced,
  };
}

/** Sets those of the baseline's policies that the organization has none of yet. */
export async function setBaseline(tx: Tx, organization: { readonly number: string; readonly domain: string }, now: Micros): Promise<void> {
  const name = `organizations/${organization.number}`;
  for (const [id, rule] of Object.entries(baseline(organization.number, organization.domain))) {
    if ((await findOrgPolicy(tx.db, name, id)) !== undefined) continue;
    await setOrgPolicy(tx, { name, organization: name, projectId: undefined }, id, create(PolicySchema, { spec: { rules: [rule] } }), now);
  }
}
