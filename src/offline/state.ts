/**
 * Policies as files declare them, without a control plane: who is bound to what where, the hierarchy as far as it is known, groups and custom roles.
 * Nothing here is checked against what exists elsewhere; what is not declared is not there.
 */
import { create } from '@bufbuild/protobuf';
import { type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { normalMember } from '../policy/member.ts';
import { parseResource } from '../policy/resource.ts';
import type { PolicySource, StoredRole } from '../policy/source.ts';
import type { Tag } from '../policy/tag.ts';

export interface StateBinding {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition?: { readonly title: string; readonly description?: string | undefined; readonly expression: string } | undefined;
}

export interface PolicyState {
  /** By id. `parent`: `folders/N`, `organizations/N`, or null where there is none or it is not known. */
  readonly projects: Map<string, { readonly number: string; readonly parent: string | null }>;
  /** By number. */
  readonly folders: Map<string, { readonly parent: string }>;
  /** By full resource name, projects by id. */
  readonly policies: Map<string, readonly StateBinding[]>;
  /** By `group:EMAIL` in normal form. */
  readonly groups: Map<string, readonly string[]>;
  /** Custom roles, by name. */
  readonly roles: Map<string, StoredRole>;
  /** Full names of the service accounts that are known to be there. */
  readonly accounts: Set<string>;
}

export function emptyState(): PolicyState {
  return { projects: new Map(), folders: new Map(), policies: new Map(), groups: new Map(), roles: new Map(), accounts: new Set() };
}

const MANAGER = '//cloudresourcemanager.googleapis.com';

function projectId({ projects }: Pick<PolicyState, 'projects'>, idOrNumber: string): string {
  if (projects.has(idOrNumber)) return idOrNumber;
  for (const [id, { number }] of projects) if (number === idOrNumber) return id;
  return idOrNumber;
}

/** Files name resources in full or without their host; a project by its number is the one with that number. @returns undefined for what has no policy */
export function stateResource(state: Pick<PolicyState, 'projects'>, name: string): string | undefined {
  const bare = name.replace(/^\/\/(?:cloudresourcemanager|iam|run)\.googleapis\.com\//, '');
  if (bare.startsWith('//')) return parseResource(bare) === undefined ? undefined : bare;
  const [collection = '', id = '', kind, ...rest] = bare.split('/');
  const project = collection === 'projects' ? projectId(state, id) : id;
  if (id === '') return undefined;
  if (kind === undefined) return /^(?:projects|folders|organizations|tagKeys|tagValues)$/.test(collection) ? `${MANAGER}/${collection}/${project}` : undefined;
  if (collection !== 'projects') return undefined;
  if (kind === 'serviceAccounts' && rest.length === 1) return `//iam.googleapis.com/projects/${project}/serviceAccounts/${rest[0]?.toLowerCase()}`;
  return kind === 'locations' && rest[1] === 'jobs' && rest.length === 3 ? `//run.googleapis.com/projects/${project}/locations/${rest.join('/')}` : undefined;
}

/** What is above a resource, as far as that is known: its project, and then folders up to the organization. */
export function parentOf(state: PolicyState, resource: string): string | undefined {
  const name = parseResource(resource);
  if (name === undefined) return undefined;
  const { kind, id } = name.root;
  // The default account's address names its project by number.
  if (!resource.startsWith(`${MANAGER}/`)) return `${MANAGER}/${kind}/${kind === 'projects' ? projectId(state, id) : id}`;
  const parent = kind === 'projects' ? state.projects.get(id)?.parent : kind === 'folders' ? state.folders.get(id)?.parent : undefined;
  return parent === undefined || parent === null ? undefined : `${MANAGER}/${parent}`;
}

/** Everything by its full name that a policy is of, or that is known to be there: a folder without a policy hands down what is above it. */
export function resourcesOf({ policies, accounts, projects, folders }: PolicyState): string[] {
  const containers = [...[...projects.keys()].map((id) => `projects/${id}`), ...[...folders.keys()].map((number) => `folders/${number}`)];
  return [...policies.keys(), ...accounts, ...containers.map((name) => `${MANAGER}/${name}`)];
}

/** The state for the decision engine. @param tags in effect on every resource, for conditions */
export function sourceOf(state: PolicyState, tags: readonly Tag[] = []): PolicySource {
  const policies = new Map<string, Policy>([...state.policies].map(([resource, bindings]) => [resource, policyOf(bindings)]));
  const byNumber = new Map([...state.projects].map(([id, { number }]) => [number, id]));
  return {
    policy: async (resource) => policies.get(resource),
    async project(key) {
      const projectId = state.projects.has(key) ? key : byNumber.get(key);
      const project = projectId === undefined ? undefined : state.projects.get(projectId);
      return projectId === undefined || project === undefined ? undefined : { projectId, ...project };
    },
    folder: async (number) => state.folders.get(number),
    role: async (name) => state.roles.get(name),
    tags: async () => tags,
    groupsOf: async (member) => [...state.groups].filter(([, members]) => members.some((one) => normalMember(one) === member)).map(([group]) => group),
    membersOf: async (group) => state.groups.get(group) ?? [],
  };
}

function policyOf(bindings: readonly StateBinding[]): Policy {
  return create(PolicySchema, {
    version: 3,
    bindings: bindings.map(({ role, members, condition }) => ({
      role,
      members: [...members],
      ...(condition === undefined ? {} : { condition: { title: condition.title, description: condition.description ?? '', expression: condition.expression } }),
    })),
  });
}
