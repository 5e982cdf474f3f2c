/**
 * Who may do what: the decision engine over allow policies. A permission is granted if any allow policy on the resource, on what
 * encloses it, on its project, its folders or its organization binds a role that holds it to the caller.
 * Invariants: a decision allows only by a role of the catalogue, without condition, of a member that names the caller; a chain that
 * cannot be walked to its end denies; what could not be evaluated is named, never counted as either answer.
 * Everything needed for a decision is cached, and then the answer is synchronous. It must not know stores, calls or wordings.
 */
import type { Policy } from '../gen/google/iam/v1/policy_pb.js';
import { BoundedMap } from './bounded-map.ts';
import type { RoleCatalogue } from './catalogue.ts';
import { membersThatName, normalMember } from './member.ts';
import { carrierName, parseResource, type ResourceName, type Root, rootName } from './resource.ts';

/** Where policies and the hierarchy come from. An answer is trusted until `Authorizer.invalidate`. */
export interface PolicySource {
  /** By full resource name, projects by id. Undefined: none was ever set. */
  policy(resource: string): Promise<Policy | undefined>;
  /** `parent` is `folders/N`, `organizations/N`, or null at the top. */
  project(idOrNumber: string): Promise<{ projectId: string; number: string; parent: string | null } | undefined>;
  folder(number: string): Promise<{ parent: string } | undefined>;
  /** @param name `tagKeys/N` or `tagValues/N` @returns what it is below: `organizations/N`, `projects/N` or `tagKeys/N`. Absent: there are no tags. */
  tag?(name: string): Promise<{ parent: string } | undefined>;
}

export interface Question {
  /** Policy member: `user:alice@example.com`, `serviceAccount:x@p.iam.gserviceaccount.com`, `group:...`, `allUsers`. */
  readonly member: string;
  readonly permission: string;
  /** Full resource name; the project as id or number. */
  readonly resource: string;
}

export interface Decision {
  readonly allowed: boolean;
  /**
   * Where not allowed: the bindings of this member that might have granted it and could not be evaluated. Either the catalogue lacks the role,
   * or knows it only in part and not for this permission's service, or the binding has a condition (conditions are not evaluated yet).
   * Such a binding never allows; whoever answers a denial names it. Empty where allowed.
   */
  readonly unevaluatedRoles: readonly { readonly role: string; readonly resource: string }[];
  /** Where allowed: the nearest binding that grants it, and the member in it that matched. */
  readonly grantedBy?: { readonly role: string; readonly resource: string; readonly member: string };
}

export interface Authorizer {
  /** A value where everything needed is cached, otherwise a promise. Rejects only with what the source throws, and then nothing is cached. */
  decide(question: Question): Promise<Decision> | Decision;
  /** To be called after every committed change of a policy or of the hierarchy: each decision asked for from then on reads again. */
  invalidate(): void;
}

/** Entries per cache. A resource costs about 200 bytes, a policy as much as it is long. */
const CACHE_ENTRIES = 10_000;
/** Google allows 10 levels of folders. More is a cycle or nonsense, and denies. */
const MAX_FOLDERS = 64;

const DENIED: Decision = Object.freeze({ allowed: false, unevaluatedRoles: Object.freeze([]) });

interface Grant {
  readonly role: string;
  readonly member: string;
  readonly conditional: boolean;
}
/** A policy, turned round: what each member (in its normal form) holds. */
interface CompiledPolicy {
  readonly resource: string;
  readonly grants: ReadonlyMap<string, readonly Grant[]>;
}
/** The policies that apply to a resource, nearest first, without the empty ones. Undefined: the chain is broken. */
type Chain = readonly CompiledPolicy[] | undefined;
interface Lineage {
  /** Undefined for a folder or an organization. */
  readonly projectId: string | undefined;
  readonly policies: readonly CompiledPolicy[];
}

/**
 * Everything read since the last `invalidate`. A load keeps the object that it began with, so one that began before an invalidation fills
 * an object that nobody looks at any more.
 */
interface Caches {
  readonly chains: BoundedMap<{ readonly chain: Chain }>;
  readonly lineages: BoundedMap<{ readonly lineage: Lineage | undefined }>;
  /** Policies below the project, which a job's executions and tasks share. */
  readonly carriers: BoundedMap<readonly CompiledPolicy[]>;
  readonly loading: Map<string, Promise<Chain>>;
}

export function createAuthorizer(options: { source: PolicySource; catalogue: RoleCatalogue }): Authorizer {
  const { source, catalogue } = options;
  let caches = createCaches();
  const memberForms = new BoundedMap<readonly string[]>(CACHE_ENTRIES);

  function formsOf(member: string): readonly string[] {
    const known = memberForms.get(member);
    if (known !== undefined) return known;
    const forms = membersThatName(member);
    memberForms.set(member, forms);
    return forms;
  }

  return {
    decide(question) {
      const hit = caches.chains.get(question.resource);
      if (hit !== undefined) return evaluate(hit.chain, question, formsOf(question.member), catalogue);
      return load(source, caches, question.resource).then((chain) => evaluate(chain, question, formsOf(question.member), catalogue));
    },
    invalidate() {
      caches = createCaches();
    },
  };
}

function createCaches(): Caches {
  return { chains: new BoundedMap(CACHE_ENTRIES), lineages: new BoundedMap(CACHE_ENTRIES), carriers: new BoundedMap(CACHE_ENTRIES), loading: new Map() };
}

function evaluate(chain: Chain, question: Question, forms: readonly string[], catalogue: RoleCatalogue): Decision {
  if (chain === undefined) return DENIED;
  let unevaluated: { role: string; resource: string }[] | undefined;
  for (const policy of chain) {
    for (const form of forms) {
      const grants = policy.grants.get(form);
      if (grants === undefined) continue;
      for (const { role, member, conditional } of grants) {
        const holds = catalogue.has(role, question.permission);
        if (holds === false) continue;
        if (holds === true && !conditional) return { allowed: true, unevaluatedRoles: DENIED.unevaluatedRoles, grantedBy: { role, resource: policy.resource, member } };
        unevaluated ??= [];
        if (!unevaluated.some((seen) => seen.role === role && seen.resource === policy.resource)) unevaluated.push({ role, resource: policy.resource });
      }
    }
  }
  return unevaluated === undefined ? DENIED : { allowed: false, unevaluatedRoles: unevaluated };
}

/** Concurrent first questions about one resource share one load. */
function load(source: PolicySource, caches: Caches, resource: string): Promise<Chain> {
  const running = caches.loading.get(resource);
  if (running !== undefined) return running;
  const started = readChain(source, caches, resource)
    .then((chain) => {
      caches.chains.set(resource, { chain });
      return chain;
    })
    .finally(() => caches.loading.delete(resource));
  caches.loading.set(resource, started);
  return started;
}

async function readChain(source: PolicySource, caches: Caches, resource: string): Promise<Chain> {
  const name = parseResource(resource);
  if (name === undefined) return undefined;
  const key = rootName(name.root);
  let known = caches.lineages.get(key);
  if (known === undefined) {
    known = { lineage: await readLineage(source, name.root) };
    caches.lineages.set(key, known);
  }
  const { lineage } = known;
  if (lineage === undefined) return undefined;
  const own = await readCarriers(source, caches, name, lineage);
  return own.length === 0 ? lineage.policies : [...own, ...lineage.policies];
}

async function readCarriers(source: PolicySource, caches: Caches, name: ResourceName, lineage: Lineage): Promise<readonly CompiledPolicy[]> {
  const { projectId } = lineage;
  const [nearest] = name.carriers;
  if (projectId === undefined || nearest === undefined) return [];
  const key = carrierName(nearest, projectId);
  const known = caches.carriers.get(key);
  if (known !== undefined) return known;
  const policies = await readPolicies(
    source,
    name.carriers.map((carrier) => carrierName(carrier, projectId)),
  );
  caches.carriers.set(key, policies);
  return policies;
}

/** @returns undefined where the project is unknown or the way up breaks off */
async function readLineage(source: PolicySource, root: Root): Promise<Lineage | undefined> {
  const names: string[] = [];
  let projectId: string | undefined;
  let next: string | null = `${root.kind}/${root.id}`;
  while (next !== null) {
    const [kind, id = ''] = next.split('/');
    if (names.length > MAX_FOLDERS) return undefined;
    if (kind === 'projects') {
      const project = await source.project(id);
      if (project === undefined) return undefined;
      projectId = project.projectId;
      names.push(rootName({ kind, id: projectId }));
      next = project.parent;
    } else if (kind === 'folders') {
      const folder = await source.folder(id);
      if (folder === undefined) return undefined;
      names.push(rootName({ kind, id }));
      next = folder.parent;
    } else if (kind === 'tagKeys' || kind === 'tagValues') {
      const tag: { readonly parent: string } | undefined = await source.tag?.(next);
      if (tag === undefined) return undefined;
      names.push(rootName({ kind, id }));
      next = tag.parent;
    } else if (kind === 'organizations') {
      names.push(rootName({ kind, id }));
      next = null;
    } else return undefined;
  }
  return { projectId, policies: await readPolicies(source, names) };
}

async function readPolicies(source: PolicySource, names: readonly string[]): Promise<CompiledPolicy[]> {
  const compiled: CompiledPolicy[] = [];
  for (const name of names) {
    const policy = await source.policy(name);
    if (policy !== undefined && policy.bindings.length > 0) compiled.push(compile(name, policy));
  }
  return compiled;
}

function compile(resource: string, policy: Policy): CompiledPolicy {
  const grants = new Map<string, Grant[]>();
  for (const binding of policy.bindings) {
    for (const member of binding.members) {
      const form = normalMember(member);
      const held = grants.get(form);
      const grant: Grant = { role: binding.role, member, conditional: binding.condition !== undefined };
      if (held === undefined) grants.set(form, [grant]);
      else held.push(grant);
    }
  }
  return { resource, grants };
}
