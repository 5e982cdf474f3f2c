import { readdirSync, readFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { createAuthorizer, type PolicySource } from './authorizer.ts';
import { loadCatalogue } from './catalogue.ts';

const CASES = new URL('cases/', import.meta.url);

const Binding = z.strictObject({ role: z.string(), members: z.array(z.string()), condition: z.string().optional() });
const Case = z.strictObject({
  name: z.string(),
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
  };
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
      const decision = await authorizer.decide({ member, permission, resource });
      expect(decision.allowed).toBe(row.allowed ?? row.by !== undefined);
      expect(decision.grantedBy?.resource).toBe(row.by ?? decision.grantedBy?.resource);
      const unevaluated = decision.unevaluatedRoles.map(({ role }) => role);
      expect(unevaluated).toEqual(row.unevaluated ?? unevaluated);
      const again = authorizer.decide({ member, permission, resource });
      expect(again, 'the second answer is synchronous and the same').toEqual(decision);
    });
  });
}
