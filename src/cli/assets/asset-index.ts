/**
 * What has to be known of a whole export before anything of it is made: which projects and folders there are, what their numbers and those of accounts stand for, and what
 * is not brought. Of everything else nothing is kept, so that memory follows the number of names and not the length of the export.
 */
import { type JsonRecord, textOf } from '../export-read.ts';
import { isRecord } from '../json.ts';
import { type Asset } from './asset.ts';

/** In the order in which they are made: each may need what comes before it, and an organization policy could forbid it. */
export const PHASES = ['constraints', 'accounts', 'roles', 'policies', 'jobs', 'jobPolicies', 'orgPolicies'] as const;
export type Phase = (typeof PHASES)[number];

export interface Container {
  readonly displayName: string;
  /** `folders/NUMBER` or `organizations/NUMBER`, as the export numbers them. */
  readonly parent: string;
}

export interface AssetIndex {
  /** By number. */
  readonly folders: ReadonlyMap<string, Container>;
  /** By number, as far as the export describes them. */
  readonly projects: ReadonlyMap<string, Container & { readonly id: string; readonly labels?: JsonRecord }>;
  /** Ids of projects, by number, from whatever tells both. */
  readonly projectIds: ReadonlyMap<string, string>;
  /** Addresses of service accounts, by unique id. */
  readonly emails: ReadonlyMap<string, string>;
  /** Addresses of the accounts, and names of the jobs and roles as the export has them, that it declares. */
  readonly declared: ReadonlySet<string>;
  /** Projects that are named in any way, by number where that is known. */
  readonly named: ReadonlySet<string>;
  readonly phases: ReadonlySet<Phase>;
  /** How many, by a sentence about them. */
  readonly leftOut: ReadonlyMap<string, number>;
}

const MANAGER = 'cloudresourcemanager.googleapis.com';
/** Types that actas knows, and never takes from an export. */
const NOT_BROUGHT: { readonly [type: string]: string | undefined } = {
  'iam.googleapis.com/ServiceAccountKey': 'keys stay where they are',
  'run.googleapis.com/Execution': 'executions are made by running a job',
  'run.googleapis.com/Task': 'tasks are made by running a job',
};

/** Which parts of an asset are made, and when. Empty for what describes a place, and for what is left out. */
export function phasesOf(asset: Asset): readonly Phase[] {
  const found: Phase[] = [];
  if (asset.data !== undefined) {
    const phase = dataPhase(asset);
    if (phase !== undefined) found.push(phase);
  }
  if (asset.bindings !== undefined) {
    const phase = policyPhase(asset);
    if (phase !== undefined) found.push(phase);
  }
  if (asset.orgPolicies.length > 0 && isPlace(asset)) found.push('orgPolicies');
  return found;
}

function dataPhase({ type, data }: Asset): Phase | undefined {
  if (type === 'iam.googleapis.com/ServiceAccount') return isOwnAccount(textOf(data?.['email'])) ? 'accounts' : undefined;
  if (type === 'iam.googleapis.com/Role') return 'roles';
  if (type === 'run.googleapis.com/Job') return 'jobs';
  if (type === 'orgpolicy.googleapis.com/CustomConstraint') return 'constraints';
  return type === 'orgpolicy.googleapis.com/Policy' ? 'orgPolicies' : undefined;
}

function policyPhase(asset: Asset): Phase | undefined {
  if (isPlace(asset) || /^projects\/[^/]+\/serviceAccounts\/[^/]+$/.test(asset.path)) return 'policies';
  return asset.host === 'run.googleapis.com' && /^projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/]+$/.test(asset.path) ? 'jobPolicies' : undefined;
}

/** A project, a folder or an organization. */
function isPlace({ host, path }: Asset): boolean {
  return host === MANAGER && /^(?:projects|folders|organizations)\/[^/]+$/.test(path);
}

/** Not one that Google makes with a project. */
function isOwnAccount(email: string): boolean {
  return /^[a-z][a-z\d-]*@[a-z][a-z\d.-]*\.iam\.gserviceaccount\.com$/.test(email);
}

/** Takes in one asset after another. */
export function createIndex() {
  const folders = new Map<string, Container>();
  const projects = new Map<string, Container & { readonly id: string; readonly labels?: JsonRecord }>();
  const projectIds = new Map<string, string>();
  const emails = new Map<string, string>();
  const declared = new Set<string>();
  const named = new Set<string>();
  const phases = new Set<Phase>();
  const leftOut = new Map<string, number>();
  const index: AssetIndex = { folders, projects, projectIds, emails, declared, named, phases, leftOut };
  return {
    index,
    add(asset: Asset): void {
      noteNumbers(asset, projectIds, named);
      const own = phasesOf(asset);
      for (const phase of own) phases.add(phase);
      const { type, data = {} } = asset;
      if (type === `${MANAGER}/Folder` && asset.data !== undefined) folders.set(numberOf(asset, data), containerOf(asset, data));
      else if (type === `${MANAGER}/Project` && asset.data !== undefined) {
        const [id, number] = [textOf(data['projectId']), textOf(data['projectNumber']) || numberOf(asset, data)];
        projects.set(number, { id, ...containerOf(asset, data), ...(isRecord(data['labels']) ? { labels: data['labels'] } : {}) });
        if (id !== '') projectIds.set(number, id);
      } else if (type === 'iam.googleapis.com/ServiceAccount' && asset.data !== undefined) {
        const email = textOf(data['email']);
        emails.set(textOf(data['uniqueId']), email);
        declared.add(email);
      } else if (own.includes('jobs') || own.includes('roles')) declared.add(asset.path);
      const why = own.length > 0 ? undefined : reasonOf(asset);
      if (why !== undefined) leftOut.set(why, (leftOut.get(why) ?? 0) + 1);
    },
  };
}

/** The name of a resource often has its project's id, and its ancestors the number. */
function noteNumbers({ host, path, ancestors }: Asset, projectIds: Map<string, string>, named: Set<string>): void {
  const number = ancestors.map((each) => /^projects\/(\d+)$/.exec(each)?.[1]).find((each) => each !== undefined);
  const key = /^projects\/([^/]+)/.exec(path)?.[1];
  const isId = key !== undefined && key !== '_' && !/^\d+$/.test(key) && host !== 'storage.googleapis.com';
  if (number !== undefined && isId) projectIds.set(number, key);
  if (number !== undefined || (key !== undefined && key !== '_')) named.add(number ?? key ?? '');
}

function numberOf(asset: Asset, data: JsonRecord): string {
  return /^(?:folders|projects)\/(\d+)$/.exec(textOf(data['name']))?.[1] ?? asset.path.split('/')[1] ?? '';
}

/** v1 has a project's parent as `{type, id}` and its name for people under `name`, v3 as texts. */
function containerOf(asset: Asset, data: JsonRecord): Container {
  const { parent } = data;
  const above = isRecord(parent) ? `${textOf(parent['type'])}s/${textOf(parent['id'])}` : textOf(parent);
  const name = textOf(data['name']);
  return { displayName: textOf(data['displayName']) || (name.includes('/') ? '' : name), parent: above === '' ? (asset.ancestors[1] ?? '') : above };
}

/** @returns undefined for what is used in another way */
function reasonOf(asset: Asset): string | undefined {
  const { type, data, bindings, orgPolicies } = asset;
  const isDescribed = data !== undefined && (/\/(?:Project|Folder|Organization)$/.test(type) || type === 'iam.googleapis.com/ServiceAccount');
  if (isDescribed && type.startsWith(MANAGER)) return undefined;
  if (isDescribed) return `${type}: Google makes them with their project`;
  if (data === undefined && bindings === undefined && orgPolicies.length === 0) return `${type}: nothing is said of them but their names`;
  return `${type}: ${NOT_BROUGHT[type] ?? 'actas has none of these'}`;
}
