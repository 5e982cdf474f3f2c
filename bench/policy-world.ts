/** A made-up organization for the benchmark of decisions: ten levels, nested groups, deny rules, conditions; and a plain evaluator that says what is right. */
import { create } from '@bufbuild/protobuf';
import { type Policy, PolicySchema } from '../src/gen/google/iam/v1/policy_pb.js';
import { type Policy as DenyPolicy, PolicySchema as DenyPolicySchema } from '../src/gen/google/iam/v2/policy_pb.js';
import type { RoleCatalogue } from '../src/policy/catalogue.ts';
import type { PolicySource } from '../src/policy/source.ts';

const MANAGER = '//cloudresourcemanager.googleapis.com';
const FOLDERS = 7;
const PROJECTS = 10;
const JOBS = 10;
const USERS = 1000;
const USER_NAMES: readonly string[] = Array.from({ length: USERS }, (_, i) => `user:u${i}@example.com`);
const GROUPS = 60;
/** The time of every decision. */
export const NOW_MICROS = Date.parse('2026-06-01T12:00:00Z') * 1000;

/** Conditions, and what they come to: jobs offer no `resource.name`, and nothing here has a tag but the first folder. */
export const CONDITIONS: readonly (readonly [expression: string, holds: boolean])[] = [
  ["request.time < timestamp('2027-01-01T00:00:00Z')", true],
  ["request.time < timestamp('2026-01-01T00:00:00Z')", false],
  ["resource.matchTag('1/env', 'prod')", true],
  ["resource.matchTag('1/env', 'dev') || resource.hasTagKey('1/team')", false],
  ["resource.name.startsWith('projects/p1/')", false],
];

export interface WorldBinding {
  readonly role: string;
  readonly member: string;
  /** Place in CONDITIONS. */
  readonly condition: number | undefined;
}
export interface WorldDenial {
  readonly principal: string;
  readonly member: string;
  readonly permission: string;
}
/** A policy that was replaced. */
export interface Write {
  readonly node: string;
  readonly policy: Policy;
}
export interface Triple {
  readonly member: string;
  readonly permission: string;
  readonly resource: string;
}

/** The same numbers in every run. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export class World {
  readonly random: (below: number) => number;
  readonly bindings = new Map<string, WorldBinding[]>();
  readonly denials = new Map<string, WorldDenial[]>();
  /** The groups that hold a member directly. */
  readonly parents = new Map<string, string[]>();
  readonly resources: readonly string[];
  readonly permissions: readonly string[];
  /** For each resource, it and what is above it. */
  readonly above = new Map<string, readonly string[]>();
  readonly #held = new Map<string, ReadonlySet<string>>();
  readonly #roles: readonly string[];
  readonly #names = new Map<string, ReadonlySet<string>>();
  readonly #policies = new Map<string, Policy>();
  readonly #grouped = new Map<string, ReadonlyMap<string, readonly WorldBinding[]>>();

  /** @param count of bindings, the same number on each of ten levels */
  constructor(count: number, catalogue: RoleCatalogue, seed = 42) {
    this.random = randomOf(seed);
    const roles = [...catalogue.roles()].filter(
      (role) => !role.partial && /^roles\/(?:run|iam|artifactregistry|secretmanager|logging|storage|pubsub)\./.test(role.name) && role.permissions.size < 150,
    );
    this.#roles = roles.map(({ name }) => name);
    for (const role of roles) this.#held.set(role.name, role.permissions);
    this.permissions = [...new Set(roles.flatMap((role) => [...role.permissions]))].sort();
    this.resources = this.#makeHierarchy();
    this.#makeGroups();
    this.#makeBindings(count);
    this.#makeDenials();
    for (const node of this.bindings.keys()) this.#policies.set(node, this.#policyOf(node));
  }

  #makeHierarchy(): string[] {
    const up = [`${MANAGER}/organizations/1`];
    for (let i = 1; i <= FOLDERS; i++) up.unshift(`${MANAGER}/folders/${i}`);
    const jobs: string[] = [];
    for (let p = 0; p < PROJECTS; p++) {
      for (let j = 0; j < JOBS; j++) {
        const job = `//run.googleapis.com/projects/p${p}/locations/us-central1/jobs/j${j}`;
        this.above.set(job, [job, `${MANAGER}/projects/p${p}`, ...up]);
        jobs.push(job);
      }
    }
    return jobs;
  }

  #makeGroups(): void {
    for (let g = 1; g < GROUPS; g++) this.#join(`group:g${g}@example.com`, `group:g${this.random(g)}@example.com`);
    for (let u = 0; u < USERS; u++) for (let i = 0; i < 2; i++) this.#join(`user:u${u}@example.com`, `group:g${this.random(GROUPS)}@example.com`);
  }

  #join(member: string, group: string): void {
    const groups = this.parents.get(member) ?? [];
    if (!groups.includes(group)) this.parents.set(member, [...groups, group]);
  }

  #makeBindings(count: number): void {
    const [first = []] = this.above.values();
    for (let level = 0; level < first.length; level++) {
      for (let i = 0; i < count / first.length; i++) {
        const node = this.above.get(this.resources[this.random(this.resources.length)] ?? '')?.[level] ?? '';
        this.bindings.set(node, [...(this.bindings.get(node) ?? []), this.#binding(i)]);
      }
    }
  }

  /** Every fifth is conditional; most are to users, some to groups and to the domain. */
  #binding(i: number): WorldBinding {
    const kind = this.random(20);
    const member =
      kind < 15
        ? `user:u${this.random(USERS)}@example.com`
        : kind < 19
          ? `group:g${this.random(GROUPS)}@example.com`
          : `serviceAccount:s${this.random(100)}@p1.iam.gserviceaccount.com`;
    return { role: this.#roles[this.random(this.#roles.length)] ?? '', member, condition: i % 5 === 0 ? this.random(CONDITIONS.length) : undefined };
  }

  #makeDenials(): void {
    for (const folder of [1, 3, 5]) {
      const rules: WorldDenial[] = [];
      for (let i = 0; i < 10; i++) {
        const group = `g${this.random(GROUPS)}@example.com`;
        const permission = this.permissions[this.random(this.permissions.length)] ?? '';
        rules.push({ principal: `principalSet://goog/group/${group}`, member: `group:${group}`, permission });
      }
      this.denials.set(`${MANAGER}/folders/${folder}`, rules);
    }
  }

  #policyOf(node: string): Policy {
    return create(PolicySchema, {
      bindings: (this.bindings.get(node) ?? []).map(({ role, member, condition }) => ({
        role,
        members: [member],
        ...(condition === undefined ? {} : { condition: { title: 'c', expression: CONDITIONS[condition]?.[0] ?? '' } }),
      })),
    });
  }

  /** Puts another binding in the place of one of a node's. The source shows it once it is published. */
  write(): Write {
    const nodes = [...this.bindings.keys()];
    const node = nodes[this.random(nodes.length)] ?? '';
    const bindings = this.bindings.get(node) ?? [];
    const at = this.random(bindings.length);
    this.bindings.set(
      node,
      bindings.map((binding, i) => (i === at ? this.#binding(at) : binding)),
    );
    this.#grouped.delete(node);
    return { node, policy: this.#policyOf(node) };
  }

  publish({ node, policy }: Write): void {
    this.#policies.set(node, policy);
  }

  source(): PolicySource {
    return {
      policy: async (resource) => this.#policies.get(resource),
      project: async (id) => ({ projectId: id, number: '1', parent: `folders/${FOLDERS}` }),
      folder: async (number) => ({ parent: number === '1' ? 'organizations/1' : `folders/${Number(number) - 1}` }),
      denyPolicies: async (resource) => this.#denyPolicies(resource),
      tags: async (resource) => (resource === `${MANAGER}/folders/1` ? [{ keyId: 'tagKeys/1', key: '1/env', valueId: 'tagValues/1', value: 'prod' }] : []),
      groupsOf: async (member) => this.parents.get(member) ?? [],
    };
  }

  #denyPolicies(resource: string): readonly DenyPolicy[] {
    const rules = (this.denials.get(resource) ?? []).map(({ principal, permission }) => ({
      kind: { case: 'denyRule' as const, value: { deniedPrincipals: [principal], deniedPermissions: [inV2(permission)] } },
    }));
    return rules.length === 0 ? [] : [create(DenyPolicySchema, { name: `policies/x/denypolicies/y`, rules })];
  }

  /** Every member that names the caller. */
  names(caller: string): ReadonlySet<string> {
    const known = this.#names.get(caller);
    if (known !== undefined) return known;
    const names = new Set([caller]);
    for (const name of names) for (const group of this.parents.get(name) ?? []) names.add(group);
    this.#names.set(caller, names);
    return names;
  }

  /** The rules, as plainly as they can be said. */
  answer({ member, permission, resource }: Triple): 'denied' | 'allowed' | 'no' {
    const names = this.names(member);
    const up = this.above.get(resource) ?? [];
    if (up.some((node) => this.denials.get(node)?.some((rule) => rule.permission === permission && names.has(rule.member)))) return 'denied';
    const granted = up.some((node) => {
      const byMember = this.#byMember(node);
      for (const name of names)
        for (const binding of byMember.get(name) ?? [])
          if (this.holds(binding.role, permission) && (binding.condition === undefined || CONDITIONS[binding.condition]?.[1] === true)) return true;
      return false;
    });
    return granted ? 'allowed' : 'no';
  }

  #byMember(node: string): ReadonlyMap<string, readonly WorldBinding[]> {
    const known = this.#grouped.get(node);
    if (known !== undefined) return known;
    const grouped = new Map<string, WorldBinding[]>();
    for (const binding of this.bindings.get(node) ?? []) grouped.set(binding.member, [...(grouped.get(binding.member) ?? []), binding]);
    this.#grouped.set(node, grouped);
    return grouped;
  }

  holds(role: string, permission: string): boolean {
    return this.#held.get(role)?.has(permission) === true;
  }

  /** Distinct triples at random: one in twenty denied, half allowed, the rest without a grant. */
  triples(count: number): readonly Triple[] {
    const wanted = { denied: count / 20, allowed: count / 2, no: count / 2 - count / 20 };
    const seen = new Set<string>();
    const found: Triple[] = [];
    const denied = [...this.denials.values()].flat().map(({ permission }) => permission);
    while (found.length < count) {
      // Chance alone would take long to find a denied one.
      const pool = wanted.denied > 0 && this.random(4) === 0 ? denied : this.permissions;
      const triple = {
        member: USER_NAMES[this.random(USERS)] ?? '',
        permission: pool[this.random(pool.length)] ?? '',
        resource: this.resources[this.random(this.resources.length)] ?? '',
      };
      const key = `${triple.member} ${triple.permission} ${triple.resource}`;
      if (seen.has(key)) continue;
      const answer = this.answer(triple);
      if (wanted[answer] <= 0) continue;
      wanted[answer]--;
      seen.add(key);
      found.push(triple);
    }
    for (let i = found.length - 1; i > 0; i--) {
      const j = this.random(i + 1);
      const [a, b] = [found[i], found[j]];
      if (a !== undefined && b !== undefined) [found[i], found[j]] = [b, a];
    }
    return found;
  }
}

function inV2(permission: string): string {
  return permission.includes('/') ? permission : permission.replace(/^resourcemanager\./, 'cloudresourcemanager.').replace('.', '.googleapis.com/');
}
