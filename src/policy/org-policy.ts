/**
 * What organization policies say about one resource, for the services that have to ask. Hides the way up through the hierarchy,
 * inheritance, conditions on tags, defaults, and dry runs.
 * Invariants: where nothing is set, the constraint's default holds; a dry run never changes an answer, it is only reported.
 * Must not know: the store, the services, the words of an API.
 */
import type { CustomConstraint } from '../gen/google/cloud/orgpolicy/v2/constraint_pb.js';
import type { Policy, PolicySpec } from '../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { BoundedMap } from './bounded-map.ts';
import { findConstraint } from './constraint-catalogue.ts';
import { type ConstraintValues, type Enforcement, effectiveSpec, enforcementOf, valuesOf } from './org-policy-evaluation.ts';
import { matchesValue } from './org-policy-values.ts';
import { carrierName, parseResource, type Root, rootName } from './resource.ts';
import type { Tag } from './tag.ts';

export type { ConstraintValues } from './org-policy-evaluation.ts';

/** Who asks, for the report of a dry run: the policy member whose request it is. */
export interface Asker {
  readonly member: string;
  /** Only wants to know, and is about to do nothing: what a dry run would refuse is not reported. */
  readonly onlyAsks?: boolean;
}

export interface OrgPolicies {
  /**
   * Whether a boolean or managed constraint is enforced. To be asked when what it forbids is about to happen: what a dry run would refuse is reported from here.
   * @param constraint without `constraints/`: `iam.disableServiceAccountCreation`
   * @param resource full resource name of a project, folder or organization, or of something in one; rules with conditions look at its own tags and those it inherits
   */
  isEnforced(constraint: string, resource: string, asker?: Asker): Promise<boolean>;
  /** Whether a list constraint lets a value be used. To be asked as `isEnforced` is. */
  isValueAllowed(constraint: string, resource: string, value: string, asker?: Asker): Promise<boolean>;
  values(constraint: string, resource: string): Promise<ConstraintValues>;
}

/** Something that policies in dry run would have refused. */
export interface DryRunFinding {
  readonly constraint: string;
  readonly resource: string;
  /** Of a list constraint. */
  readonly value: string | undefined;
  /** Undefined where nobody said who asks. */
  readonly member: string | undefined;
}

/** What is in force, and what would be if every dry run were. The second is absent where no policy on the way up is in dry run. */
export interface Answers<T> {
  readonly live: T;
  readonly dryRun: T | undefined;
}

/** Everything that is known, for the organization policy API and the checks built on it. */
export interface OrgPolicyEngine extends OrgPolicies {
  enforcement(constraint: string, resource: string): Promise<Answers<Enforcement>>;
  /**
   * As `isValueAllowed`, for something that has several names or none: refused where one of them is denied, else allowed where one is. Without a
   * name only what allows every value allows it. @param shown the value in the report of a dry run
   */
  isAnyAllowed(constraint: string, resource: string, values: readonly string[], asker?: Asker, shown?: string): Promise<boolean>;
  /** @returns the rules that hold on a node, without etag; those of a dry run where one is on the way */
  effective(constraint: string, kind: 'boolean' | 'list', node: string): Promise<Answers<PolicySpec>>;
  /** The organization's custom constraints; none where the resource has no organization. */
  customConstraints(resource: string): Promise<readonly CustomConstraint[]>;
  /** Every organization. */
  organizations(): Promise<readonly Organization[]>;
  /** From the resource's own node to the top: `projects/ID`, `projects/NUMBER`, `folders/N`, ..., `organizations/N`. Empty for what is not known. */
  ancestors(resource: string): Promise<readonly string[]>;
  report(finding: DryRunFinding): void;
  /** Forgets what was read; to be called when policies, constraints, tags or parents have changed. */
  invalidate(): void;
}

export interface Organization {
  readonly number: string;
  /** The domain that it is displayed by. */
  readonly domain: string;
}

export interface OrgPolicySource {
  /** @returns `parent` as `folders/N` or `organizations/N`, null at the top */
  project(idOrNumber: string): Promise<{ readonly projectId: string; readonly number: string; readonly parent: string | null } | undefined>;
  folder(number: string): Promise<{ readonly parent: string } | undefined>;
  /** The policies of one node. @param node `projects/NUMBER`, `folders/N`, `organizations/N` */
  orgPolicies(node: string): Promise<readonly Policy[]>;
  /** @param organization `organizations/N` */
  customConstraints(organization: string): Promise<readonly CustomConstraint[]>;
  organizations(): Promise<readonly Organization[]>;
  /** What is bound to the resource itself. @param resource full name, projects by id */
  tags(resource: string): Promise<readonly Tag[]>;
}

/** Deeper than Google allows (ten folders); a cycle in a broken database must not hang a request. */
const MAX_DEPTH = 20;
const MAX_CACHED = 10_000;

interface Place {
  /** Nodes that can have policies, nearest first. */
  readonly nodes: readonly string[];
  /** Full names that can have tags, nearest first. */
  readonly holders: readonly string[];
  /** What `under:` values may name: the nodes, and a project by its id. */
  readonly names: readonly string[];
}

const NOWHERE: Place = { nodes: [], holders: [], names: [] };

type NodePolicies = ReadonlyMap<string, Policy>;

/** @param options.onDryRun hears of everything that a dry run would have refused */
export function createOrgPolicies({ source, onDryRun }: { readonly source: OrgPolicySource; readonly onDryRun?: (finding: DryRunFinding) => void }): OrgPolicyEngine {
  let ways = new BoundedMap<ReturnType<typeof wayUp>>(MAX_CACHED);
  /** The way up from a resource: every check of a job asks for the same one. */
  const placeOf = async (resource: string): Promise<Place> => {
    const parsed = parseResource(resource);
    if (parsed === undefined) return NOWHERE;
    const key = rootName(parsed.root);
    let asked = ways.get(key);
    if (asked === undefined) {
      asked = wayUp(source, parsed.root);
      ways.set(key, asked);
      asked.catch(() => (ways = new BoundedMap(MAX_CACHED)));
    }
    const way = await asked;
    if (way === undefined) return NOWHERE;
    return { ...way, holders: [...parsed.carriers.map((carrier) => carrierName(carrier, way.projectId)), ...way.holders] };
  };

  let cached = new BoundedMap<Promise<NodePolicies>>(MAX_CACHED);
  const policiesOf = (node: string): Promise<NodePolicies> => {
    const known = cached.get(node);
    if (known !== undefined) return known;
    const asked = source.orgPolicies(node).then((policies) => new Map(policies.map((policy) => [policy.name.slice(policy.name.lastIndexOf('/') + 1), policy])));
    cached.set(node, asked);
    // A failure is not kept: the next question asks again.
    asked.catch(() => (cached = new BoundedMap(MAX_CACHED)));
    return asked;
  };

  let constraints = new BoundedMap<Promise<readonly CustomConstraint[]>>(MAX_CACHED);
  const constraintsOf = (organization: string): Promise<readonly CustomConstraint[]> => {
    const known = constraints.get(organization);
    if (known !== undefined) return known;
    const asked = source.customConstraints(organization);
    constraints.set(organization, asked);
    asked.catch(() => (constraints = new BoundedMap(MAX_CACHED)));
    return asked;
  };

  /** Evaluates what is in force, and what would be. Tags are read only where a rule asks for them. */
  const answer = async <T>(constraint: string, place: Place, evaluate: (specs: readonly PolicySpec[], tags: readonly Tag[]) => T): Promise<Answers<T>> => {
    const policies: Policy[] = [];
    for (const node of place.nodes) {
      const policy = (await policiesOf(node)).get(constraint);
      if (policy !== undefined) policies.push(policy);
    }
    const live = policies.flatMap(({ spec }) => spec ?? []);
    const dry = policies.some(({ dryRunSpec }) => dryRunSpec !== undefined) ? policies.flatMap(({ spec, dryRunSpec }) => dryRunSpec ?? spec ?? []) : undefined;
    const needsTags = [...live, ...(dry ?? [])].some(({ rules }) => rules.some(({ condition }) => condition !== undefined));
    const tags = needsTags ? await effectiveTags(source, place.holders) : [];
    return { live: evaluate(live, tags), dryRun: dry === undefined ? undefined : evaluate(dry, tags) };
  };

  const isDenied = (constraint: string) => findConstraint(constraint)?.deniedByDefault ?? false;
  const report = (finding: DryRunFinding) => onDryRun?.(finding);
  const enforcement = async (constraint: string, resource: string) =>
    answer(constraint, await placeOf(resource), (specs, tags) => enforcementOf(specs, isDenied(constraint), tags));
  const values = async (constraint: string, resource: string) => answer(constraint, await placeOf(resource), (specs, tags) => valuesOf(specs, isDenied(constraint), tags));

  const isAnyAllowed: OrgPolicyEngine['isAnyAllowed'] = async (constraint, resource, wanted, asker, shown) => {
    const { live, dryRun } = await values(constraint, resource);
    const named = await Promise.all(wanted.map(async (value) => ({ value, names: await namesOf(placeOf, value) })));
    const allowed = isAllowed(live, named);
    if (dryRun !== undefined && asker?.onlyAsks !== true && allowed && !isAllowed(dryRun, named))
      report({ constraint, resource, value: shown ?? wanted[0], member: asker?.member });
    return allowed;
  };

  return {
    enforcement,
    report,
    organizations: () => source.organizations(),
    async isEnforced(constraint, resource, asker) {
      const { live, dryRun } = await enforcement(constraint, resource);
      if (dryRun?.enforced === true && asker?.onlyAsks !== true && !live.enforced) report({ constraint, resource, value: undefined, member: asker?.member });
      return live.enforced;
    },
    isValueAllowed: (constraint, resource, value, asker) => isAnyAllowed(constraint, resource, [value], asker),
    isAnyAllowed,
    values: async (constraint, resource) => (await values(constraint, resource)).live,
    async effective(constraint, kind, node) {
      return answer(constraint, await placeOf(`//cloudresourcemanager.googleapis.com/${node}`), (specs, tags) => effectiveSpec(kind, specs, isDenied(constraint), tags));
    },
    async customConstraints(resource) {
      const organization = (await placeOf(resource)).nodes.at(-1);
      return organization?.startsWith('organizations/') === true ? constraintsOf(organization) : [];
    },
    ancestors: async (resource) => (await placeOf(resource)).names,
    invalidate() {
      ways = new BoundedMap(MAX_CACHED);
      cached = new BoundedMap(MAX_CACHED);
      constraints = new BoundedMap(MAX_CACHED);
    },
  };
}

function isAllowed({ all, allowed, denied }: ConstraintValues, named: readonly { readonly value: string; readonly names: readonly string[] }[]): boolean {
  const matches = (patterns: ReadonlySet<string>) => [...patterns].some((pattern) => named.some(({ value, names }) => matchesValue(pattern, value, names)));
  if (all === 'deny' || matches(denied)) return false;
  return all === 'allow' || matches(allowed);
}

/** What `under:` may name to match the value: nothing, unless the value is a node itself. */
async function namesOf(placeOf: (resource: string) => Promise<Place>, value: string): Promise<readonly string[]> {
  return /^(?:projects|folders|organizations)\/[^/]+$/.test(value) ? (await placeOf(`//cloudresourcemanager.googleapis.com/${value}`)).names : [];
}

/** The way up from a project, folder or organization; undefined for a project that is not known. */
async function wayUp(source: OrgPolicySource, root: Root): Promise<(Place & { readonly projectId: string }) | undefined> {
  const nodes: string[] = [];
  const holders: string[] = [];
  const names: string[] = [];
  let projectId = '';
  let next: string | null = `${root.kind}/${root.id}`;
  if (root.kind === 'projects') {
    const project = await source.project(root.id);
    if (project === undefined) return undefined;
    projectId = project.projectId;
    nodes.push(`projects/${project.number}`);
    holders.push(rootName({ kind: 'projects', id: projectId }));
    names.push(`projects/${projectId}`, `projects/${project.number}`);
    next = project.parent;
  }
  while (next !== null && nodes.length < MAX_DEPTH) {
    nodes.push(next);
    holders.push(`//cloudresourcemanager.googleapis.com/${next}`);
    names.push(next);
    next = next.startsWith('folders/') ? ((await source.folder(next.slice('folders/'.length)))?.parent ?? null) : null;
  }
  return { nodes, holders, names, projectId };
}

/** One value for each key: the nearest binding hides those above it. Source: https://docs.cloud.google.com/resource-manager/docs/tags/tags-overview#inheritance */
async function effectiveTags(source: OrgPolicySource, holders: readonly string[]): Promise<readonly Tag[]> {
  const byKey = new Map<string, Tag>();
  for (const holder of holders) for (const tag of await source.tags(holder)) if (!byKey.has(tag.keyId)) byKey.set(tag.keyId, tag);
  return [...byKey.values()];
}
