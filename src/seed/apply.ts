/**
 * Makes a data directory hold what a seed declares. Declared things are created, or brought to what is declared; nothing that is not
 * declared is changed or removed, and what a declaration leaves out (a display name, `disabled`) stays as it is.
 *
 * Policies are *set*: the bindings of a declared policy replace the resource's, except what a project's policy binds from its
 * creation (default account, service agent), which stays while it is there. Audit settings stay.
 * The members of a group are set likewise where they are declared. Applying a seed twice changes nothing. A seed that was the last one applied to the data directory is not applied again, so that
 * what was changed through the API since then survives a restart; `force` applies it all the same.
 */
import { createHash } from 'node:crypto';
import { create, equals, type JsonObject } from '@bufbuild/protobuf';
import { isApiError } from '../errors.ts';
import { type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { applySetIamPolicy } from '../policy/allow-policy.ts';
import type { RoleCatalogue } from '../policy/catalogue.ts';
import { checkPolicy, type PolicyHolder } from '../policy/check-policy.ts';
import { createServiceAccount } from '../services/iam/create-service-account.ts';
import { setBaseline } from '../services/orgpolicy/baseline.ts';
import { checkProjectTexts, createProject, initialBindings, newProjectEtag } from '../services/resourcemanager/create-project.ts';
import type { Store, Tx } from '../store/database.ts';
import { findFolder, insertFolder, updateFolder } from '../store/folders.ts';
import { listAncestors } from '../store/hierarchy.ts';
import { findJob } from '../store/jobs.ts';
import { findOrganization, insertOrganization, updateOrganization } from '../store/organizations.ts';
import { findPolicy, updatePolicy } from '../store/policies.ts';
import { findProject, type ProjectRow, updateProject } from '../store/projects.ts';
import { findSecret, secretResource } from '../store/secrets.ts';
import { findServiceAccount, isUnknownServiceAccount, serviceAccountResource, updateServiceAccount } from '../store/service-accounts.ts';
import { findSetting, updateSetting } from '../store/settings.ts';
import { type Clock, type Micros, systemClock } from '../timestamp.ts';
import { applyGroups } from './apply-groups.ts';
import { applyCustomConstraint, applyOrgPolicy, isEditorWithheldBySeed } from './apply-org-policies.ts';
import { applyRole } from './apply-roles.ts';
import { type Seed, SeedError, type SeedValue } from './seed.ts';

export interface SeedDeps {
  readonly store: Store;
  readonly clock: Clock;
  /** Asked which permissions there are, where the seed has custom roles. */
  readonly catalogue: Pick<RoleCatalogue, 'role' | 'roles'>;
  /** Creates the job, or updates it where it differs. @param job v2 Job in JSON, without its name */
  applyJob(name: string, job: JsonObject): Promise<void>;
  /** Likewise. @param secret google.cloud.secretmanager.v1.Secret in JSON, without its name @param value adds a version where the newest holds something else */
  applySecret(name: string, secret: JsonObject, value: SeedValue | undefined): Promise<void>;
  /** Likewise. @param node `projects/demo` @param policy google.iam.v2.Policy in JSON, without its name */
  applyDenyPolicy(node: string, id: string, policy: JsonObject): Promise<void>;
  /** Called for a seed that has tags or pools. */
  services(): Promise<SeedServices>;
}

/** Declared things that a service makes, in JSON. */
export interface SeedServices {
  /** Creates the key and its values, or brings them to what is declared. */
  applyTagKey(key: Seed['tagKeys'][number]): Promise<void>;
  /** @param resource in full */
  applyTagBinding(resource: string, tagValue: string): Promise<void>;
  applyPool(pool: Seed['workloadIdentityPools'][number]): Promise<void>;
}

export interface AppliedSeed {
  /** Image references that the driver replaces, as declared. */
  readonly images: Readonly<Record<string, string>>;
  /** False where this seed was applied before and `force` was not asked for. */
  readonly applied: boolean;
}

const DIGEST_SETTING = 'seed.digest';

/**
 * Organizations, folders, projects, accounts, groups, custom roles and policies are one transaction: all or nothing. Deny policies, tags, pools, secrets, jobs and the policies of the last two follow.
 * @throws SeedError for what cannot be made so, ApiError from `applyJob`
 */
export async function applySeed(seed: Seed, deps: SeedDeps, options: { readonly force?: boolean } = {}): Promise<AppliedSeed> {
  const { store, clock } = deps;
  const digest = createHash('sha256').update(JSON.stringify(seed)).digest('hex');
  if (options.force !== true && (await findSetting(store.read, DIGEST_SETTING)) === digest) return { images: seed.images, applied: false };
  const isLate = (resource: string) => isJob(resource) || isSecret(resource);
  const latePolicies = seed.policies.map((policy, i) => ({ ...policy, place: `policies[${i}]` })).filter(({ resource }) => isLate(resource));
  await store.write(async (tx) => {
    const now = clock.now();
    for (const organization of seed.organizations) await applyOrganization(tx, organization, now);
    await applyFolders(tx, seed.folders, now);
    for (const [i, constraint] of seed.customConstraints.entries()) await at(`customConstraints[${i}]`, () => applyCustomConstraint(tx, json(constraint), now));
    const orgPolicies = seed.orgPolicies.map((policy, i) => ({ policy, place: `orgPolicies[${i}]`, isOfProject: policy.name.startsWith('projects/') }));
    // Those of what projects are made in come first: they have a say in what a new project has.
    for (const { policy, place, isOfProject } of orgPolicies) if (!isOfProject) await at(place, () => applyOrgPolicy(tx, json(policy), now));
    for (const [i, project] of seed.projects.entries()) await at(`projects[${i}]`, () => applyProject(tx, project, now));
    for (const { policy, place, isOfProject } of orgPolicies) if (isOfProject) await at(place, () => applyOrgPolicy(tx, json(policy), now));
    for (const [i, account] of seed.serviceAccounts.entries()) await at(`serviceAccounts[${i}]`, () => applyAccount(tx, account, now));
    await applyGroups(tx, seed.groups, now);
    for (const [i, role] of seed.roles.entries()) await at(`roles[${i}]`, () => applyRole(tx, role, deps.catalogue, now));
    for (const [i, policy] of seed.policies.entries()) if (!isLate(policy.resource)) await at(`policies[${i}]`, () => applyPolicy(tx, policy, now));
  });
  for (const [i, { name, ...policy }] of seed.denyPolicies.entries()) {
    const [node = '', id = ''] = name.split('/denyPolicies/');
    await at(`denyPolicies[${i}]`, () => deps.applyDenyPolicy(node, id, json(policy)));
  }
  if (seed.tagKeys.length + seed.tagBindings.length + seed.workloadIdentityPools.length > 0) await applyServices(seed, await deps.services());
  for (const [i, { name, valueFrom, ...secret }] of seed.secrets.entries()) await at(`secrets[${i}]`, () => deps.applySecret(name, json(secret), valueFrom));
  for (const { name, ...job } of seed.jobs) {
    await deps.applyJob(name, JSON.parse(JSON.stringify(job)));
  }
  await store.write(async (tx) => {
    for (const policy of latePolicies) await at(policy.place, () => applyPolicy(tx, policy, clock.now()));
    await updateSetting(tx.db, DIGEST_SETTING, digest);
  });
  return { images: seed.images, applied: true };
}

async function applyServices(seed: Seed, services: SeedServices): Promise<void> {
  for (const [i, key] of seed.tagKeys.entries()) await at(`tagKeys[${i}]`, () => services.applyTagKey(key));
  for (const [i, { resource, tagValue }] of seed.tagBindings.entries())
    await at(`tagBindings[${i}]`, () => services.applyTagBinding(resource.startsWith('//') ? resource : `//cloudresourcemanager.googleapis.com/${resource}`, tagValue));
  for (const [i, pool] of seed.workloadIdentityPools.entries()) await at(`workloadIdentityPools[${i}]`, () => services.applyPool(pool));
}

/** Puts the place in the file before what a domain function has to say. */
async function at(place: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isApiError(error) && error.status !== 'UNAVAILABLE') throw new SeedError(`The seed cannot be applied: ${place}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function applyOrganization(tx: Tx, { number, displayName, secureByDefault }: Seed['organizations'][number], now: Micros): Promise<void> {
  const before = await findOrganization(tx.db, number);
  const secure = secureByDefault === undefined ? (before?.secure_by_default ?? 0) : secureByDefault ? 1 : 0;
  if (before === undefined) await insertOrganization(tx.db, { number, display_name: displayName, create_time: now, secure_by_default: secure });
  else if (before.display_name !== displayName || before.secure_by_default !== secure)
    await updateOrganization(tx.db, number, { display_name: displayName, secure_by_default: secure });
  else return;
  // Once: what is changed in the baseline afterwards stays.
  if (secure === 1 && before?.secure_by_default !== 1) await setBaseline(tx, { number, domain: displayName }, now);
  tx.touch('hierarchy');
}

/** Declared things are JSON already; `undefined` is not. */
function json(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value));
}

/** Folders may be declared in any order: their parents are looked at when all are there. */
async function applyFolders(tx: Tx, folders: Seed['folders'], now: Micros): Promise<void> {
  for (const { number, displayName, parent } of folders) {
    const before = await findFolder(tx.db, number);
    if (before === undefined) await insertFolder(tx.db, { number, parent, display_name: displayName, create_time: now });
    else if (before.display_name !== displayName || before.parent !== parent) await updateFolder(tx.db, number, { display_name: displayName, parent });
    else continue;
    tx.touch('hierarchy');
  }
  for (const [i, { number, parent }] of folders.entries()) {
    const top = (await listAncestors(tx.db, parent)).at(-1) ?? parent;
    if (!top.startsWith('organizations/') || (await findOrganization(tx.db, top.slice('organizations/'.length))) === undefined)
      throw new SeedError(
        `The seed cannot be applied: folders[${i}].parent: the way up from folder ${number} through ${parent} does not end at an organization that exists. Declare the missing parent, or break the circle.`,
      );
  }
}

async function applyProject(tx: Tx, project: Seed['projects'][number], now: Micros): Promise<void> {
  checkProjectTexts({ displayName: '', labels: project.labels ?? {} });
  const before = await findProject(tx.db, project.id);
  if (before === undefined) {
    await createProject(
      tx,
      {
        projectId: project.id,
        number: project.number,
        parent: project.parent ?? null,
        displayName: project.displayName ?? '',
        labels: project.labels ?? {},
        withoutEditor: await isEditorWithheldBySeed(tx, project.parent ?? null),
      },
      now,
    );
    return;
  }
  if (before.number !== project.number)
    throw new SeedError(
      `The seed cannot be applied: project ${project.id} has the number ${before.number} in this data directory, and a number never changes. Write number: ${before.number}, or start with a new data directory.`,
    );
  const labels = project.labels === undefined ? before.labels : JSON.stringify(project.labels);
  const wanted: Partial<ProjectRow> = {
    display_name: project.displayName ?? before.display_name,
    parent: project.parent ?? before.parent,
    labels,
    state: 'ACTIVE',
    delete_time: null,
  };
  if (wanted.display_name === before.display_name && wanted.parent === before.parent && labels === before.labels && before.state === 'ACTIVE') return;
  await updateProject(tx.db, project.id, { ...wanted, update_time: now, etag: newProjectEtag() });
  tx.touch('hierarchy');
  tx.touch('serviceAccounts');
}

async function applyAccount(tx: Tx, account: Seed['serviceAccounts'][number], now: Micros): Promise<void> {
  if ((await findProject(tx.db, account.project)) === undefined)
    throw new SeedError(`The seed cannot be applied: service account ${account.id} is in project ${account.project}, which does not exist. Declare it under projects.`);
  const before = await findServiceAccount(tx.db, `${account.id}@${account.project}.iam.gserviceaccount.com`);
  const { displayName, description, disabled } = account;
  if (before === undefined) {
    await createServiceAccount(
      tx,
      { projectId: account.project, accountId: account.id, displayName: displayName ?? '', description: description ?? '', disabled: disabled ?? false },
      now,
    );
    return;
  }
  const wanted = {
    display_name: displayName ?? before.display_name,
    description: description ?? before.description,
    disabled: disabled === undefined ? before.disabled : disabled ? (1 as const) : (0 as const),
  };
  if (wanted.display_name === before.display_name && wanted.description === before.description && wanted.disabled === before.disabled) return;
  await updateServiceAccount(tx.db, before.unique_id, wanted);
  tx.touch('serviceAccounts');
}

async function applyPolicy(tx: Tx, declared: Seed['policies'][number], now: Micros): Promise<void> {
  const { resource, where, kept } = await resolveResource(tx, declared.resource);
  const current = await findPolicy(tx.db, resource);
  const requested = create(PolicySchema, {
    version: 3,
    bindings: declared.bindings.map(({ role, members, condition }) => ({ role, members, ...(condition === undefined ? {} : { condition }) })),
  });
  checkPolicy(requested, where);
  const known = new Set(current?.bindings.flatMap(({ members }) => members));
  for (const member of requested.bindings.flatMap(({ members }) => members)) {
    const email = /^serviceAccount:([^\s[\]]+)$/i.exec(member)?.[1]?.toLowerCase();
    if (email !== undefined && !known.has(`serviceAccount:${email}`) && (await isUnknownServiceAccount(tx.db, email)))
      throw new SeedError(`The seed cannot be applied: the policy of ${declared.resource} names ${member}, which does not exist. Declare it under serviceAccounts.`);
  }
  for (const { role, members } of kept) {
    const still = members.filter((member) => current?.bindings.some((bound) => bound.role === role && bound.condition === undefined && bound.members.includes(member)));
    if (still.length > 0) requested.bindings.push(...create(PolicySchema, { bindings: [{ role, members: still }] }).bindings);
  }
  const next = applySetIamPolicy(current, requested, undefined, now);
  if (current !== undefined && sameBindings(current, next)) return;
  await updatePolicy(tx.db, resource, next, now);
  tx.touch('policies');
}

function sameBindings(a: Policy, b: Policy): boolean {
  const bare = (policy: Policy) => create(PolicySchema, { bindings: policy.bindings });
  return equals(PolicySchema, bare(a), bare(b));
}

interface Holder {
  /** The name that the policy is stored by. */
  readonly resource: string;
  readonly where: PolicyHolder;
  readonly kept: readonly { readonly role: string; readonly members: readonly string[] }[];
}

function isJob(resource: string): boolean {
  return /\/locations\/[^/]+\/jobs\/[^/]+$/.test(resource);
}

function isSecret(resource: string): boolean {
  return /\/secrets\/[^/]+$/.test(resource);
}

/** @param name full (`//run.googleapis.com/projects/...`) or without its host */
async function resolveResource(tx: Tx, name: string): Promise<Holder> {
  const bare = name.replace(/^\/\/(?:cloudresourcemanager|iam|run|secretmanager)\.googleapis\.com\//, '');
  const [collection, id = '', kind, key = ''] = bare.split('/');
  const holder = bare.split('/').length <= 2 ? await resolveNode(tx, collection, id) : undefined;
  if (holder !== undefined) return holder;
  if (collection === 'projects' && kind === 'serviceAccounts') {
    const row = await findServiceAccount(tx.db, key);
    if (row !== undefined && row.project_id === (await findProject(tx.db, id))?.project_id) return { resource: serviceAccountResource(row), where: 'serviceAccount', kept: [] };
  }
  if (collection === 'projects' && isJob(bare)) {
    const project = await findProject(tx.db, id);
    const job = project === undefined ? undefined : ['projects', project.project_id, ...bare.split('/').slice(2)].join('/');
    if (job !== undefined && (await findJob(tx.db, job)) !== undefined) return { resource: `//run.googleapis.com/${job}`, where: 'job', kept: [] };
  }
  if (collection === 'projects' && isSecret(bare)) {
    const project = await findProject(tx.db, id);
    const secret = ['projects', project?.project_id ?? id, ...bare.split('/').slice(2)].join('/');
    if ((await findSecret(tx.db, secret, systemClock.now())) !== undefined) return { resource: secretResource(secret), where: 'secret', kept: [] };
  }
  throw new SeedError(
    `The seed cannot be applied: a policy is declared for ${JSON.stringify(name)}, which does not exist. Declare it, or correct the name: organizations/N, folders/N, projects/ID, projects/ID/serviceAccounts/EMAIL, projects/ID/secrets/S or projects/ID/locations/L/jobs/J.`,
  );
}

async function resolveNode(tx: Tx, collection: string | undefined, id: string): Promise<Holder | undefined> {
  const resource = (key: string) => `//cloudresourcemanager.googleapis.com/${collection}/${key}`;
  if (collection === 'organizations' && (await findOrganization(tx.db, id)) !== undefined) return { resource: resource(id), where: 'organization', kept: [] };
  if (collection === 'folders' && (await findFolder(tx.db, id)) !== undefined) return { resource: resource(id), where: 'folder', kept: [] };
  const project = collection === 'projects' ? await findProject(tx.db, id) : undefined;
  return project === undefined ? undefined : { resource: resource(project.project_id), where: 'project', kept: initialBindings(project.number) };
}
