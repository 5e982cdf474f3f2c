/** The bindings of an export as they can be set here: numbers of projects and organizations are those of here, and members that are not here are left out by name. */
import { type Api, IAM } from '../api.ts';
import { type JsonRecord, textOf } from '../export-read.ts';
import { isApiFailure } from '../failure.ts';
import { isRecord } from '../json.ts';
import type { Binding } from '../policy.ts';
import { listOf } from './asset.ts';
import type { AssetIndex } from './asset-index.ts';
import type { Places } from './asset-places.ts';

export interface Members {
  bindings(exported: readonly JsonRecord[]): Promise<Binding[]>;
  /** @returns the address here; undefined where there is none */
  account(email: string): Promise<string | undefined>;
}

/** Default accounts, service agents and Google's own: `123-compute@...`, `service-123@...`, `123@cloudservices...` */
const NUMBERED = /^((?:service-)?)(\d+)((?:-compute)?@.+)$/;

/** @param leaveOut hears of each member that is left out, every time */
export function createMembers(api: Api, index: AssetIndex, places: Places, leaveOut: (why: string) => void): Members {
  const rolesHere = new Map<string, Promise<boolean>>();
  const accountsOf = new Map<string, Promise<ReadonlySet<string>>>();
  const listed = (project: string): Promise<ReadonlySet<string>> => {
    const known = accountsOf.get(project) ?? readAccounts(api, project);
    accountsOf.set(project, known);
    return known;
  };

  const account: Members['account'] = async (email) => {
    const numbered = NUMBERED.exec(email);
    if (numbered !== null) {
      const [, prefix = '', number = '', rest = ''] = numbered;
      const place = await places.find(`projects/${number}`);
      if (place === undefined) return undefined;
      return place.isPlanned ? email : `${prefix}${place.number}${rest}`;
    }
    const project = /@([^.]+)\.iam\.gserviceaccount\.com$/.exec(email)?.[1];
    const place = project === undefined ? undefined : await places.find(`projects/${project}`);
    if (place === undefined) return undefined;
    return index.declared.has(email) || (!place.isPlanned && (await listed(place.name)).has(email)) ? email : undefined;
  };

  const memberHere = async (member: string): Promise<string | undefined> => {
    const [type = '', ...rest] = member.split(':');
    const name = rest.join(':');
    if (type === 'serviceAccount' && name.endsWith('gserviceaccount.com')) {
      const here = await account(name);
      return here === undefined ? undefined : `serviceAccount:${here}`;
    }
    if (type === 'deleted') return undefined;
    const pool = /^(principal(?:Set)?:\/\/iam\.googleapis\.com\/)(projects\/\d+)(\/.+)$/.exec(member);
    if (pool === null) return member;
    const place = await places.find(pool[2] ?? '');
    return place === undefined ? undefined : `${pool[1]}projects/${place.number}${pool[3]}`;
  };

  const roleHere = async (role: string): Promise<string | undefined> => {
    const custom = /^((?:organizations|projects)\/[^/]+)(\/roles\/.+)$/.exec(role);
    if (custom === null) return role;
    const place = await places.find(custom[1] ?? '');
    if (place === undefined) return undefined;
    const name = `${place.name}${custom[2]}`;
    const isHere = rolesHere.get(name) ?? (index.declared.has(role) || place.isPlanned ? Promise.resolve(true) : isThere(api, IAM, name));
    rolesHere.set(name, isHere);
    return (await isHere) ? name : undefined;
  };

  return {
    account,
    async bindings(exported) {
      const found: Binding[] = [];
      for (const binding of exported) {
        const role = await roleHere(textOf(binding['role']));
        if (role === undefined) {
          leaveOut(`a binding of role ${textOf(binding['role'])}: it is not here`);
          continue;
        }
        const members: string[] = [];
        for (const member of listOf(binding['members']).map(textOf)) {
          const here = await memberHere(member);
          if (here === undefined) leaveOut(`member ${member}: it is not here`);
          else members.push(here);
        }
        const { condition } = binding;
        if (members.length > 0) found.push({ role, members, ...(isRecord(condition) ? { condition: conditionOf(condition) } : {}) });
      }
      return found;
    },
  };
}

function conditionOf(condition: JsonRecord): NonNullable<Binding['condition']> {
  const [title, description, expression] = [textOf(condition['title']), textOf(condition['description']), textOf(condition['expression'])];
  return { title, ...(description === '' ? {} : { description }), expression };
}

async function readAccounts(api: Api, project: string): Promise<ReadonlySet<string>> {
  const accounts = await api.list<{ readonly email?: string }>(IAM, `${project}/serviceAccounts`, 'accounts', { query: { pageSize: 100 } });
  return new Set(accounts.map(({ email = '' }) => email));
}

/** @param prefix of the API */
export async function isThere(api: Api, prefix: string, name: string): Promise<boolean> {
  try {
    await api.get(prefix, name);
    return true;
  } catch (error) {
    if (isApiFailure(error, 'NOT_FOUND')) return false;
    throw error;
  }
}
