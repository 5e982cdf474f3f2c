/**
 * An export of many policies as a state: what `gcloud asset search-all-iam-policies` prints, and an export of Cloud Asset Inventory (google.cloud.asset.v1 Asset), in
 * camel or in snake case. Of resources it takes what policies need: ids of projects, parents of folders, addresses of accounts and custom roles.
 */
import { z } from 'zod';
import { emptyState, type PolicyState, stateResource } from './state.ts';

const condition = z.looseObject({ title: z.string().default(''), description: z.string().optional(), expression: z.string() });
export const policy = z.looseObject({
  bindings: z.array(z.looseObject({ role: z.string(), members: z.array(z.string()).default([]), condition: condition.optional() })).default([]),
});
const described = z.looseObject({
  data: z
    .looseObject({
      name: z.string().optional(),
      projectId: z.string().optional(),
      parent: z.unknown().optional(),
      email: z.string().optional(),
      uniqueId: z.string().optional(),
      stage: z.string().optional(),
      includedPermissions: z.array(z.string()).optional(),
    })
    .optional(),
});

export const exported = z
  .looseObject({
    resource: z.union([z.string(), described]).optional(),
    name: z.string().optional(),
    assetType: z.string().optional(),
    asset_type: z.string().optional(),
    policy: policy.optional(),
    iamPolicy: policy.optional(),
    iam_policy: policy.optional(),
    ancestors: z.array(z.string()).optional(),
    project: z.string().optional(),
  })
  .transform(({ resource, name, assetType, asset_type: type, policy: searched, iamPolicy, iam_policy: snake, ancestors, project }) => ({
    name: typeof resource === 'string' ? resource : name,
    type: assetType ?? type ?? '',
    data: typeof resource === 'string' ? undefined : resource?.data,
    policy: searched ?? iamPolicy ?? snake,
    // A search says which project, and not in which order the folders lie.
    ancestors: ancestors ?? (project === undefined || project === '' ? [] : [project]),
  }));

type Exported = z.output<typeof exported>;

/** @param notes collects what could not be read, one sentence each */
export function stateOfExport(entries: readonly Exported[], file: string, notes: string[]): PolicyState {
  const state = emptyState();
  const emails = new Map<string, string>();
  const ids = new Map<string, string>();
  for (const { name = '', data, ancestors } of entries) {
    const number = /^projects\/(\d+)$/.exec(ancestors[0] ?? '')?.[1];
    const id = data?.projectId ?? /^\/\/(?:cloudresourcemanager|iam|run)\.googleapis\.com\/projects\/([a-z][^/]*)/.exec(name)?.[1];
    if (number !== undefined && id !== undefined) ids.set(number, id);
    if (data?.email !== undefined && data.uniqueId !== undefined) emails.set(data.uniqueId, data.email);
  }
  for (const entry of entries) {
    takePlaces(state, entry, ids);
    takeRole(state, entry);
  }
  for (const [place, { name = '', policy: held, data }] of entries.entries()) {
    if (held === undefined && data !== undefined) continue;
    const named = name.replace(/(?<=\/serviceAccounts\/)(\d+)$/, (id) => emails.get(id) ?? id);
    const resource = stateResource(state, named);
    if (resource === undefined) notes.push(`${file}: [${place}] is about ${JSON.stringify(name)}, whose policies are not known here, and is left out.`);
    else state.policies.set(resource, [...(state.policies.get(resource) ?? []), ...(held?.bindings ?? [])]);
  }
  for (const email of emails.values()) {
    const account = stateResource(state, `//iam.googleapis.com/projects/${/@([^.]+)\.iam\./.exec(email)?.[1] ?? '-'}/serviceAccounts/${email}`);
    if (account !== undefined) state.accounts.add(account);
  }
  return state;
}

function takePlaces(state: PolicyState, { ancestors }: Exported, ids: ReadonlyMap<string, string>): void {
  const [own, above] = ancestors;
  if (own?.startsWith('projects/') === true) {
    const number = own.slice('projects/'.length);
    const id = ids.get(number) ?? number;
    state.projects.set(id, { number, parent: above ?? state.projects.get(id)?.parent ?? null });
  }
  for (const [at, ancestor] of ancestors.entries()) if (ancestor.startsWith('folders/')) state.folders.set(ancestor.slice('folders/'.length), { parent: ancestors[at + 1] ?? '' });
}

function takeRole(state: PolicyState, { name = '', type, data }: Exported): void {
  if (type !== 'iam.googleapis.com/Role' || data === undefined) return;
  const role = name.replace(/^\/\/iam\.googleapis\.com\//, '');
  state.roles.set(role, { permissions: data.includedPermissions ?? [], active: data.stage !== 'DISABLED' });
}
