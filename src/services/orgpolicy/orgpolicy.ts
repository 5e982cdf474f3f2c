/**
 * Organization policies: google.cloud.orgpolicy.v2, and version 1 as a part of Resource Manager v1, over one store. What they say about a
 * resource is decided in policy/org-policy.ts, and asked by the services that they restrict; here they are only kept.
 * Invariants: one policy for each node and constraint; a policy that is stored keeps every rule of check-org-policy.ts.
 */
import { OrgPolicy } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import type { OrgPolicyEngine } from '../../policy/org-policy.ts';
import type { Store } from '../../store/database.ts';
import { type AnyService, defineService } from '../service.ts';
import { constraintMethods } from './constraints.ts';
import { policyMethods } from './policies.ts';

export interface OrgPolicyDeps {
  readonly store: Store;
  readonly orgPolicies: OrgPolicyEngine;
}

export function createOrgPolicyServices(deps: OrgPolicyDeps): readonly AnyService[] {
  return [
    defineService<typeof OrgPolicy>({
      desc: OrgPolicy,
      host: 'orgpolicy.googleapis.com',
      legacyErrors: false,
      denied: ({ permission, asked }) => `Permission '${permission}' denied on resource '//orgpolicy.googleapis.com/${asked}' (or it may not exist).`,
      methods: { ...policyMethods(deps), ...constraintMethods(deps) },
    }),
  ];
}
