/** What one asset of an export asks for in one phase: the same items as a seed file's, with the names that things have here. */
import { type Api, RUN } from '../api.ts';
import { type JsonRecord, textOf } from '../export-read.ts';
import { accountItem, type Item, jobItem, orgPolicyItem, policyItem, roleItem, v1JobItem } from '../import-changes.ts';
import { isRecord } from '../json.ts';
import { exportedJob } from '../run/export.ts';
import { declaredJob } from '../run/replace.ts';
import { type Asset, listOf, orgPolicyOf } from './asset.ts';
import type { AssetIndex, Phase } from './asset-index.ts';
import { isThere, type Members } from './asset-members.ts';
import type { Place, Places } from './asset-places.ts';

export interface AssetContext {
  readonly api: Api;
  readonly index: AssetIndex;
  readonly places: Places;
  readonly members: Members;
  /** Who imports: what they hold on projects, folders and the organization stays, or the import would end half way. */
  readonly caller: string | undefined;
  numberOf(project: string): Promise<string>;
  /** Hears of everything that is left out, every time, in a sentence about its kind. */
  leaveOut(why: string): void;
}

/** @param at where the asset stands, for messages @throws failure for a job that is none */
export async function itemsOf(asset: Asset, phase: Phase, at: string, context: AssetContext): Promise<readonly Item[]> {
  const { places, leaveOut } = context;
  const root = asset.path.split('/', 2).join('/');
  const place = await places.find(root);
  if (place === undefined) {
    leaveOut(`${asset.type} in ${root}: that is not here${remedy(root)}`);
    return [];
  }
  const found: Item[] = [];
  // Of a description and a policy in one asset each has its own phase; an organization policy may be either.
  if (phase === 'policies') found.push(...(await policyItems(asset, place, context)));
  else if (phase === 'jobPolicies') found.push(...(await jobPolicyItems(asset, place, context)));
  else if (phase === 'orgPolicies') found.push(...orgPolicyItems(asset, place));
  else if (asset.data !== undefined) found.push(...(await dataItems(asset, asset.data, phase, place, at, context)));
  return place.isPlanned ? found.map(planned) : found;
}

function remedy(root: string): string {
  const [kind, id = ''] = root.split('/');
  if (kind === 'projects') return /^\d+$/.test(id) ? ', and its id is not in the export: add --project=PROJECT' : `. Make it, or export it too (--content-type=resource)`;
  return kind === 'folders' ? '. Export folders too (--content-type=resource)' : ', and there is not exactly one organization that it could be';
}

/** What is in a place that a dry run does not make cannot be compared with anything. */
function planned(item: Item): Item {
  const apply = () => Promise.reject(new TypeError(`${item.title} lies in a place that was not made.`));
  return { title: item.title, look: async () => ({ verb: 'create', apply }) };
}

async function dataItems(asset: Asset, data: JsonRecord, phase: Phase, place: Place, at: string, context: AssetContext): Promise<readonly Item[]> {
  switch (phase) {
    case 'accounts': {
      const [displayName, description] = [textOf(data['displayName']), textOf(data['description'])];
      const email = textOf(data['email']);
      const [id = '', domain = ''] = email.split('@');
      // An account's address has its project's id, which is the same here.
      const project = domain.replace(/\.iam\.gserviceaccount\.com$/, '');
      return [accountItem({ project, id, displayName, description, disabled: data['disabled'] === true })];
    }
    case 'roles': {
      if (data['deleted'] === true) return [];
      const { title, description, stage } = { title: textOf(data['title']), description: textOf(data['description']), stage: textOf(data['stage']) };
      const includedPermissions = listOf(data['includedPermissions']).map(textOf);
      const texts = { ...(title === '' ? {} : { title }), ...(description === '' ? {} : { description }), ...(stage === '' ? {} : { stage }) };
      return [roleItem({ name: `${place.name}/roles/${asset.path.split('/').at(-1) ?? ''}`, ...texts, includedPermissions })];
    }
    case 'constraints':
      return [orgPolicyItem(inPlace(without(data), place), 'customConstraints')];
    case 'jobs':
      return [await jobOf(asset, data, place, at, context)];
    default:
      return [];
  }
}

/** Cloud Run's own asset has the job as v1 describes it; what `gcloud run jobs describe` prints of v2 is taken as well. */
async function jobOf(asset: Asset, data: JsonRecord, place: Place, at: string, { members }: AssetContext): Promise<Item> {
  const [, project = '', , region = ''] = `${place.name}/${asset.path.split('/').slice(2).join('/')}`.split('/');
  if (data['kind'] === undefined && isRecord(data['template'])) {
    const kept = Object.fromEntries(['labels', 'annotations', 'binaryAuthorization', 'template'].flatMap((key) => (data[key] === undefined ? [] : [[key, data[key]]])));
    return jobItem({ name: `${place.name}/${asset.path.split('/').slice(2).join('/')}`, ...(await withAccount(kept, members)) });
  }
  const exported = exportedJob(data);
  const metadata = isRecord(exported['metadata']) ? without(exported['metadata'], 'namespace') : {};
  return v1JobItem(declaredJob(await withAccount({ ...exported, metadata }, members), at), project, region);
}

/** With the account's address here: a default account's has the number of its project. */
async function withAccount(record: JsonRecord, members: Members): Promise<JsonRecord> {
  const entries = Object.entries(record).map(async ([key, value]) => {
    if ((key === 'serviceAccountName' || key === 'serviceAccount') && typeof value === 'string') return [key, (await members.account(value)) ?? value] as const;
    return [key, isRecord(value) ? await withAccount(value, members) : value] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function policyItems(asset: Asset, place: Place, { index, members, caller, numberOf, leaveOut }: AssetContext): Promise<readonly Item[]> {
  const [, , kind, key = ''] = asset.path.split('/');
  let resource = place.name;
  if (kind === 'serviceAccounts') {
    const email = key.includes('@') ? key : index.emails.get(key);
    const here = email === undefined ? undefined : await members.account(email);
    if (here === undefined) {
      leaveOut(email === undefined ? `${asset.type} by number alone: export them too (--content-type=resource)` : `${asset.type} policies: ${email} is not here`);
      return [];
    }
    resource = `${place.name}/serviceAccounts/${here}`;
  }
  return [policyItem(resource, await members.bindings(asset.bindings ?? []), numberOf, kind === undefined ? caller : undefined)];
}

async function jobPolicyItems(asset: Asset, place: Place, { api, index, members, numberOf, leaveOut }: AssetContext): Promise<readonly Item[]> {
  const resource = `${place.name}/${asset.path.split('/').slice(2).join('/')}`;
  if (!index.declared.has(asset.path) && !place.isPlanned && !(await isThere(api, RUN, resource))) {
    leaveOut(`${asset.type} policies: ${resource} is not here`);
    return [];
  }
  return [policyItem(resource, await members.bindings(asset.bindings ?? []), numberOf)];
}

function orgPolicyItems({ type, data, orgPolicies }: Asset, place: Place): readonly Item[] {
  const declared = orgPolicies.map((policy) => orgPolicyOf(policy, place.name));
  if (type === 'orgpolicy.googleapis.com/Policy' && data !== undefined) declared.push(inPlace(without(data), place));
  return declared.flatMap((policy) => (policy === undefined ? [] : [orgPolicyItem(policy, 'policies')]));
}

/** Under the name that its place has here. */
function inPlace(record: JsonRecord, place: Place): JsonRecord {
  return { ...record, name: [place.name, ...textOf(record['name']).split('/').slice(2)].join('/') };
}

/** Without what the server writes. */
function without(record: JsonRecord, ...more: readonly string[]): JsonRecord {
  return Object.fromEntries(
    Object.entries(record)
      .filter(([key]) => !['etag', 'updateTime', 'createTime', ...more].includes(key))
      .map(([key, value]) => [key, key === 'spec' || key === 'dryRunSpec' ? (isRecord(value) ? without(value) : value) : value]),
  );
}
