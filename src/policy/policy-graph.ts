/**
 * The policies that bear on each resource, read once and kept: a node for everything that carries policies, and for each resource that was asked about
 * the chain of nodes from it up to the organization. A change of one resource's allow policy makes that node stale and nothing else.
 *
 * Invariants: a chain whose nodes are all fresh holds what is committed; a chain that cannot be walked to its end is broken, and then nothing is allowed;
 * what was read before an invalidation is never kept after it.
 */
import { resourceAttributes } from './attributes.ts';
import { type AttachedDeny, type CompiledAllow, CompiledDeny, type Compiler } from './compiled-policy.ts';
import type { ResourceAttributes } from './condition.ts';
import { carrierName, MAX_NAME, parseResource, type ResourceName, type Root, rootName } from './resource.ts';
import type { CompiledRole, RoleSet } from './role-set.ts';
import type { PolicySource } from './source.ts';
import type { Tag } from './tag.ts';

/** Something that carries policies. */
export interface PolicyNode {
  /** Full resource name, projects by id. */
  readonly resource: string;
  /** The how-manieth node it is. */
  readonly place: number;
  allow: CompiledAllow | undefined;
  deny: AttachedDeny | undefined;
  /** Its own, without what it inherits. */
  tags: readonly Tag[];
  /** Whether the allow policy has to be read again. */
  stale: boolean;
  /** Counts the changes that were heard of; and which of them the allow policy here is as new as. */
  version: number;
  read: number;
  loading: { readonly version: number; readonly done: Promise<void> } | undefined;
}

export interface Chain {
  /** Nearest first. */
  readonly nodes: readonly PolicyNode[];
  /** Of all nodes together. Undefined: there are none. */
  readonly deny: CompiledDeny | undefined;
  /** How many changes had been heard of when all nodes were last found fresh. */
  freshAt: number;
  /** True where an ancestor is missing or in a circle. */
  readonly broken: boolean;
  readonly attributes: ResourceAttributes;
  /** In effect on the resource: of tags under one key the nearest. */
  readonly tags: readonly Tag[];
}

interface Lineage {
  readonly project: { readonly id: string; readonly number: string } | undefined;
  readonly nodes: readonly PolicyNode[];
  readonly deny: CompiledDeny | undefined;
}

/** Of resources and of what carries policies below projects. A resource costs about 300 bytes, a policy as much as it is long. */
const MAX_RESOURCES = 50_000;
/** Google allows 10 levels of folders. More is a circle or nonsense, and denies. */
const MAX_FOLDERS = 64;
/** A policy that changes while it is read is read again, but not without end. */
const MAX_REREADS = 8;
const BROKEN: Chain = { nodes: [], deny: undefined, freshAt: -1, broken: true, attributes: {}, tags: [] };

export class PolicyGraph {
  readonly #source: PolicySource;
  readonly #roles: RoleSet;
  readonly #compiler: Compiler;
  /** Chains by resource, and nodes by name: dropped together, so that a node in a chain is always found by its name. */
  #chains = new Map<string, Chain>();
  #nodes = new Map<string, PolicyNode>();
  /** Nodes that are being read for the first time. */
  readonly #making = new Map<PolicyNode, Promise<PolicyNode>>();
  #made = 0;
  #changes = 0;
  readonly #lineages = new Map<string, Lineage | undefined>();
  readonly #loading = new Map<string, Promise<Chain>>();
  readonly #stored = new Map<string, CompiledRole>();

  constructor(source: PolicySource, roles: RoleSet, compiler: Compiler) {
    this.#source = source;
    this.#roles = roles;
    this.#compiler = compiler;
  }

  /** The chain of a resource, where it was read before and nothing of it is stale. */
  find(resource: string): Chain | undefined {
    const chain = this.#chains.get(resource);
    if (chain === undefined || chain.freshAt === this.#changes) return chain;
    for (const node of chain.nodes) if (node.stale) return undefined;
    chain.freshAt = this.#changes;
    return chain;
  }

  /** Reads what is missing. Concurrent questions about one resource share one read. @throws what the source throws, and then nothing is kept */
  async load(resource: string): Promise<Chain> {
    if (resource.length > MAX_NAME) return BROKEN;
    const known = this.#chains.get(resource);
    if (known !== undefined) {
      await this.#freshen(known.nodes);
      return known;
    }
    const running = this.#loading.get(resource);
    if (running !== undefined) return running;
    const started = this.#readChain(resource)
      .then((chain) => {
        if (this.#chains.size >= MAX_RESOURCES || this.#nodes.size >= 2 * MAX_RESOURCES) this.#forget();
        else if (this.#areKept(chain.nodes)) this.#chains.set(resource, chain);
        return chain;
      })
      .finally(() => this.#loading.delete(resource));
    this.#loading.set(resource, started);
    return started;
  }

  /** The allow policy of one resource has changed. */
  invalidate(resource: string): void {
    const node = this.#nodes.get(resource);
    if (node === undefined) return;
    this.#changes++;
    node.version++;
    node.stale = true;
  }

  /** Keeps no more than is asked for: all of it is read again when it is. */
  #forget(): void {
    this.#chains = new Map();
    this.#nodes = new Map();
    this.#lineages.clear();
  }

  /** Whether changes of these nodes will be heard of: nodes that were dropped meanwhile are found by nobody. */
  #areKept(nodes: readonly PolicyNode[]): boolean {
    return nodes.every((node) => this.#nodes.get(node.resource) === node);
  }

  async #freshen(nodes: readonly PolicyNode[]): Promise<void> {
    for (let attempt = 0; attempt < MAX_REREADS && nodes.some(({ stale }) => stale); attempt++)
      await Promise.all(nodes.filter(({ stale }) => stale).map((node) => this.#refresh(node)));
  }

  async #readChain(resource: string): Promise<Chain> {
    const name = parseResource(resource);
    if (name === undefined) return BROKEN;
    const key = rootName(name.root);
    let lineage = this.#lineages.get(key);
    if (lineage === undefined && !this.#lineages.has(key)) {
      lineage = await this.#readLineage(name.root);
      if (this.#lineages.size >= MAX_RESOURCES) this.#forget();
      else if (this.#areKept(lineage?.nodes ?? [])) this.#lineages.set(key, lineage);
    }
    if (lineage === undefined) return BROKEN;
    const nodes = [...(await this.#readCarriers(name, lineage)), ...lineage.nodes];
    await this.#freshen(nodes);
    return { nodes, deny: lineage.deny, freshAt: -1, broken: false, attributes: resourceAttributes(resource, lineage.project), tags: effectiveTags(nodes) };
  }

  async #readCarriers(name: ResourceName, { project }: Lineage): Promise<PolicyNode[]> {
    if (project === undefined) return [];
    return Promise.all(name.carriers.map((carrier) => this.#node(carrierName(carrier, project.id), false)));
  }

  async #readLineage(root: Root): Promise<Lineage | undefined> {
    const names: string[] = [];
    let project: Lineage['project'];
    let next: string | null = `${root.kind}/${root.id}`;
    while (next !== null) {
      const [kind, id]: readonly [string, string] = [next.slice(0, next.indexOf('/')), next.slice(next.indexOf('/') + 1)];
      if (names.length > MAX_FOLDERS) return undefined;
      let parent: string | null;
      let name: string = id;
      if (kind === 'projects') {
        const found = await this.#source.project(id);
        if (found === undefined) return undefined;
        name = found.projectId;
        project ??= { id: found.projectId, number: found.number };
        parent = found.parent;
      } else if (kind === 'organizations') parent = null;
      else {
        const found: { readonly parent: string } | undefined =
          kind === 'folders' ? await this.#source.folder(id) : kind === 'tagKeys' || kind === 'tagValues' ? await this.#source.tag?.(next) : undefined;
        if (found === undefined) return undefined;
        parent = found.parent;
      }
      names.push(`${kind}/${name}`);
      next = parent;
    }
    const prefix = rootName({ kind: 'projects', id: '' }).slice(0, -'projects/'.length);
    const nodes = await Promise.all(names.map((name) => this.#node(`${prefix}${name}`, true)));
    const rules = nodes.flatMap(({ deny }) => deny?.rules ?? []);
    return { project, nodes, deny: rules.length === 0 ? undefined : new CompiledDeny(rules) };
  }

  /** @param isRoot whether deny policies may be attached to it */
  async #node(resource: string, isRoot: boolean): Promise<PolicyNode> {
    const known = this.#nodes.get(resource);
    if (known !== undefined) return this.#making.get(known) ?? known;
    const node: PolicyNode = { resource, place: this.#made++, allow: undefined, deny: undefined, tags: [], stale: true, version: 0, read: -1, loading: undefined };
    // Known by its name before anything of it is read: a change meanwhile finds it.
    this.#nodes.set(resource, node);
    const made = this.#make(node, isRoot).finally(() => this.#making.delete(node));
    this.#making.set(node, made);
    return made;
  }

  async #make(node: PolicyNode, isRoot: boolean): Promise<PolicyNode> {
    try {
      const [deny, tags] = await Promise.all([isRoot ? this.#source.denyPolicies?.(node.resource) : undefined, this.#source.tags?.(node.resource), this.#refresh(node)]);
      node.deny = deny === undefined ? undefined : this.#compiler.deny(deny, node.resource);
      node.tags = tags ?? [];
      return node;
    } catch (error) {
      if (this.#nodes.get(node.resource) === node) this.#nodes.delete(node.resource);
      throw error;
    }
  }

  #refresh(node: PolicyNode): Promise<void> {
    if (node.loading?.version === node.version) return node.loading.done;
    const { version } = node;
    const read = async (): Promise<void> => {
      const allow = await this.#readAllow(node.resource);
      // What a later change's read has found must not be gone over.
      if (node.read > version) return;
      node.allow = allow;
      node.read = version;
      if (node.version === version) node.stale = false;
    };
    const done = read();
    const loading = { version, done };
    node.loading = loading;
    const forget = () => {
      if (node.loading === loading) node.loading = undefined;
    };
    done.then(forget, forget);
    return done;
  }

  async #readAllow(resource: string): Promise<CompiledAllow | undefined> {
    const policy = await this.#source.policy(resource);
    if (policy === undefined) return undefined;
    const roles = new Map<string, CompiledRole>();
    for (const { role } of policy.bindings) if (!roles.has(role)) roles.set(role, this.#stored.get(role) ?? (await this.#readRole(role)));
    return this.#compiler.allow(policy, roles);
  }

  async #readRole(name: string): Promise<CompiledRole> {
    const role = this.#roles.compile(name, await this.#source.role?.(name));
    this.#stored.set(name, role);
    return role;
  }
}

function effectiveTags(nodes: readonly PolicyNode[]): readonly Tag[] {
  const tags = new Map<string, Tag>();
  for (const node of nodes) for (const tag of node.tags) if (!tags.has(tag.keyId)) tags.set(tag.keyId, tag);
  return [...tags.values()];
}
