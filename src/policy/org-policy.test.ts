import { readFileSync } from 'node:fs';
import { create, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Policy, PolicySchema, PolicySpecSchema } from '../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { createOrgPolicies, type DryRunFinding, type OrgPolicySource } from './org-policy.ts';
import { parseTagCondition } from './org-policy-tags.ts';

const Specs = z.record(z.string(), z.record(z.string(), z.unknown())).default({});
const Common = { name: z.string(), constraint: z.string().optional(), resource: z.string().default('projects/demo'), policies: Specs, dryRun: Specs };
const Boolean = z.strictObject({ ...Common, enforced: z.boolean(), reported: z.boolean().optional() });
const List = z.strictObject({ ...Common, allows: z.array(z.string()).default([]), denies: z.array(z.string()).default([]), reported: z.array(z.string()).optional() });
const Table = z.strictObject({ tags: z.record(z.string(), z.array(z.string())), booleans: z.array(Boolean), lists: z.array(List) });
const table = Table.parse(parse(readFileSync(new URL('org-policy-cases/evaluation.yaml', import.meta.url), 'utf8')));

type SpecsByNode = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

function policiesOf(constraint: string, specs: SpecsByNode, dryRun: SpecsByNode): Map<string, Policy> {
  // Read from YAML, so JSON by construction.
  const spec = (json: unknown) => fromJson(PolicySpecSchema, json as JsonValue);
  const nodes = new Set([...Object.keys(specs), ...Object.keys(dryRun)]);
  return new Map(
    [...nodes].map((node) => [
      node,
      create(PolicySchema, {
        name: `${node}/policies/${constraint}`,
        ...(specs[node] === undefined ? {} : { spec: spec(specs[node]) }),
        ...(dryRun[node] === undefined ? {} : { dryRunSpec: spec(dryRun[node]) }),
      }),
    ]),
  );
}

function sourceOf(policies: ReadonlyMap<string, Policy>): OrgPolicySource {
  const projects = [
    { projectId: 'demo', number: '3', parent: 'folders/2' },
    { projectId: 'alone', number: '4', parent: null },
  ];
  return {
    project: async (key) => projects.find(({ projectId, number }) => projectId === key || number === key),
    folder: async (number) => (number === '2' ? { parent: 'organizations/1' } : undefined),
    orgPolicies: async (node) => {
      const policy = policies.get(node);
      return policy === undefined ? [] : [policy];
    },
    customConstraints: async () => [],
    organizations: async () => [{ number: '1', domain: 'example.com' }],
    tags: async (resource) =>
      (table.tags[resource] ?? []).map((line) => {
        const [keyId = '', key = '', valueId = '', value = ''] = line.split(' ');
        return { keyId, key, valueId, value };
      }),
  };
}

const full = (resource: string) => (resource.startsWith('//') ? resource : `//cloudresourcemanager.googleapis.com/${resource}`);

describe('boolean constraints', () => {
  test.each(table.booleans)('$name', async ({ constraint = 'iam.disableServiceAccountCreation', resource, policies, dryRun, enforced, reported }) => {
    const findings: DryRunFinding[] = [];
    const engine = createOrgPolicies({ source: sourceOf(policiesOf(constraint, policies, dryRun)), onDryRun: (finding) => findings.push(finding) });
    expect(await engine.isEnforced(constraint, full(resource), { member: 'user:a@example.com' })).toBe(enforced);
    expect(findings).toEqual(reported === true ? [{ constraint, resource: full(resource), value: undefined, member: 'user:a@example.com' }] : []);
  });
});

describe('list constraints', () => {
  test.each(table.lists)('$name', async ({ constraint = 'run.allowedVPCEgress', resource, policies, dryRun, allows, denies, reported }) => {
    const findings: DryRunFinding[] = [];
    const engine = createOrgPolicies({ source: sourceOf(policiesOf(constraint, policies, dryRun)), onDryRun: (finding) => findings.push(finding) });
    const answers = await Promise.all([...allows, ...denies].map(async (value) => [value, await engine.isValueAllowed(constraint, full(resource), value)]));
    expect(Object.fromEntries(answers)).toEqual({ ...Object.fromEntries(allows.map((v) => [v, true])), ...Object.fromEntries(denies.map((v) => [v, false])) });
    expect(findings.map(({ value }) => value)).toEqual(reported ?? []);
  });
});

describe('what is read', () => {
  test('once, until something has changed', async () => {
    const policies = policiesOf('iam.disableServiceAccountCreation', { 'organizations/1': { rules: [{ enforce: true }] } }, {});
    const source = sourceOf(policies);
    let reads = 0;
    const engine = createOrgPolicies({ source: { ...source, orgPolicies: (node) => ((reads += 1), source.orgPolicies(node)) } });
    const ask = () => engine.isEnforced('iam.disableServiceAccountCreation', full('projects/demo'));
    expect([await ask(), await ask(), reads]).toEqual([true, true, 3]);
    policies.clear();
    engine.invalidate();
    expect([await ask(), reads]).toEqual([false, 6]);
  });

  test('what failed is asked again', async () => {
    const source = sourceOf(policiesOf('iam.disableServiceAccountCreation', { 'organizations/1': { rules: [{ enforce: true }] } }, {}));
    let fail = true;
    const engine = createOrgPolicies({ source: { ...source, orgPolicies: (node) => (fail ? Promise.reject(new Error('locked')) : source.orgPolicies(node)) } });
    await expect(engine.isEnforced('iam.disableServiceAccountCreation', full('projects/demo'))).rejects.toThrow('locked');
    fail = false;
    expect(await engine.isEnforced('iam.disableServiceAccountCreation', full('projects/demo'))).toBe(true);
  });
});

describe('the dialect of conditions', () => {
  test.each([
    ['', 'is missing'],
    ['true', 'is not understood'],
    ["resource.matchTag('1/env')", 'takes 2 arguments'],
    ["resource.matchTag('env', 'prod')", '"env" has not the form'],
    ["resource.matchTagId('1/env', 'prod')", '"1/env" has not the form'],
    ["resource.name('x')", 'is not offered'],
    ["resource.constructor('x')", 'is not offered'],
    ["!resource.hasTagKey('1/env')", 'is not understood'],
    ["resource.hasTagKey('1/env') resource.hasTagKey('1/env')", 'must be joined'],
    ["resource.hasTagKey('1/env') &&", 'is missing'],
    ["(resource.hasTagKey('1/env')", 'closing parenthesis'],
    [`${'('.repeat(21)}resource.hasTagKey('1/env')${')'.repeat(21)}`, 'parentheses'],
    [Array.from({ length: 11 }, () => "resource.hasTagKey('1/env')").join(' || '), 'at most 10'],
    ['x'.repeat(5000), 'at most 4096'],
  ])('%j is refused', (expression, message) => {
    expect(() => parseTagCondition(expression)).toThrow(message);
  });

  test.each([
    ["resource.hasTagKey('1/env')"],
    ['resource.matchTag("demo/env", "prod")'],
    [`\n resource.hasTagKeyId( 'tagKeys/1' )\n&& resource.hasTagKey('1/a') `],
    [Array.from({ length: 10 }, () => "resource.hasTagKey('1/env')").join(' && ')],
  ])('%j is taken', (expression) => {
    expect(parseTagCondition(expression)([])).toBe(false);
  });
});
