import { readdirSync, readFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { PolicySchema as DenyPolicySchema } from '../gen/google/iam/v2/policy_pb.js';
import { createAuthorizer } from './authorizer.ts';
import { loadCatalogue } from './catalogue.ts';
import type { PolicySource } from './source.ts';

const CASES = new URL('cases/', import.meta.url);

const Binding = z.strictObject({ role: z.string(), members: z.array(z.string()), condition: z.string().optional() });
const Denial = z.strictObject({
  principals: z.array(z.string()),
  permissions: z.array(z.string()),
  exceptPrincipals: z.array(z.string()).default([]),
  exceptPermissions: z.array(z.string()).default([]),
  condition: z.string().optional(),
});
const Tag = z.strictObject({ keyId: z.string(), key: z.string(), valueId: z.string(), value: z.string() });
const Case = z.strictObject({
  name: z.string(),
  /** Further members that name a federated caller. */
  sets: z.array(z.string()).optional(),
  /** RFC 3339. */
  time: z.string().optional(),
  /** Host and path of an invocation. */
  request: z.strictObject({ host: z.string(), path: z.string() }).optional(),
  /** Roles that the policy to be set would change. */
  modifies: z.array(z.string()).optional(),
  /** True: a deny rule denies it. */
  denied: z.boolean().optional(),
  /** Roles of bindings whose condition could not be evaluated. */
  failed: z.array(z.string()).optional(),
  member: z.string().optional(),
  permission: z.string().optional(),
  resource: z.string().optional(),
  /** Short for a job of project demo in location l. */
  job: z.string().optional(),
  allowed: z.boolean().optional(),
  /** Resource of the binding that grants it. */
  by: z.string().optional(),
  unevaluated: z.array(z.string()).optional(),
});
const Table = z.strictObject({
  projects: z.record(z.string(), z.strictObject({ number: z.string(), parent: z.string().nullable() })),
  folders: z.record(z.string(), z.string()).default({}),
  policies: z.record(z.string(), z.array(Binding)),
  deny: z.record(z.string(), z.array(Denial)).default({}),
  groups: z.record(z.string(), z.array(z.string())).default({}),
  roles: z.record(z.string(), z.strictObject({ permissions: z.array(z.string()), active: z.boolean().default(true) })).default({}),
  tags: z.record(z.string(), z.array(Tag)).default({}),
  defaults: z.strictObject({ member: z.string().optional(), permission: z.string().optional() }).default({}),
  cases: z.array(Case).min(1),
});

function sourceOf(table: z.infer<typeof Table>): PolicySource {
  const policies = new Map<string, Policy>(
    Object.entries(table.policies).map(([resource, bindings]) => [
      resource,
      create(PolicySchema, {
        bindings: bindings.map(({ role, members, condition }) => ({ role, members, ...(condition === undefined ? {} : { condition: { title: 'c', expression: condition } }) })),
      }),
    ]),
  );
  return {
    policy: async (resource) => policies.get(resource),
    project: async (key) => {
      const found = Object.entries(table.projects).find(([id, project]) => id === key || project.number === key);
      return found && { projectId: found[0], ...found[1] };
    },
    folder: async (number) => {
      const parent = table.folders[number];
      return parent === undefined ? undefined : { parent };
    },
    denyPolicies: async (resource) => [create(DenyPolicySchema, { name: `policies/x/denypolicies/${resource}`, rules: (table.deny[resource] ?? []).map(denyRule) })],
    tags: async (resource) => table.tags[resource] ?? [],
    role: async (name) => table.roles[name],
    groupsOf: async (member) => Object.keys(table.groups).filter((group) => table.groups[group]?.includes(member)),
  };
}

function denyRule(rule: z.infer<typeof Denial>) {
  const { principals, permissions, exceptPrincipals, exceptPermissions, condition } = rule;
  const value = {
    deniedPrincipals: principals,
    deniedPermissions: permissions,
    exceptionPrincipals: exceptPrincipals,
    exceptionPermissions: exceptPermissions,
    ...(condition === undefined ? {} : { denialCondition: { title: 'c', expression: condition } }),
  };
  return { kind: { case: 'denyRule' as const, value } };
}

const catalogue = loadCatalogue();
for (const file of readdirSync(CASES)) {
  const table = Table.parse(parse(readFileSync(new URL(file, CASES), 'utf8')));
  describe(`policies of ${file}`, () => {
    const authorizer = createAuthorizer({ source: sourceOf(table), catalogue });
    test.each(table.cases)('$name', async (row) => {
      const member = row.member ?? table.defaults.member ?? '';
      const permission = row.permission ?? table.defaults.permission ?? '';
      const resource = row.resource ?? `//run.googleapis.com/projects/demo/locations/l/jobs/${row.job}`;
      const time = row.time === undefined ? undefined : Date.parse(row.time) * 1000;
      const question = { member, sets: row.sets, permission, resource, time, request: row.request, modifiedGrantsByRole: row.modifies };
      const decision = await authorizer.decide(question);
      expect(decision.allowed).toBe(row.allowed ?? row.by !== undefined);
      expect(decision.grantedBy?.resource).toBe(row.by ?? decision.grantedBy?.resource);
      const unevaluated = decision.unevaluatedRoles.map(({ role }) => role);
      expect(unevaluated).toEqual(row.unevaluated ?? unevaluated);
      expect(decision.deniedBy !== undefined).toBe(row.denied ?? false);
      expect(decision.failedConditions?.map(({ role }) => role) ?? []).toEqual(row.failed ?? []);
      const again = authorizer.decide(question);
      expect(again, 'the second answer is synchronous and the same').toEqual(decision);
    });
  });
}
