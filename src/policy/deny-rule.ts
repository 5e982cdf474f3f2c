/**
 * The forms of IAM v2, in which deny policies are written: principals and permissions there are named otherwise than in allow policies.
 * Sources: https://cloud.google.com/iam/docs/principal-identifiers, https://cloud.google.com/iam/docs/deny-overview, google/iam/v2/deny.proto
 */
import { normalMember } from './member.ts';

/** Stands for every user account, in the index of deny rules alone: no policy can name it. */
export const ANY_CUSTOMER = 'customer:*';

/**
 * A principal of a deny rule as the member of an allow policy that names the same. Undefined: it names nobody here.
 * Deviation: `principalSet://goog/cloudIdentityCustomerId/ID` names every user and group, whoever's customer they are, for no directory of customers is kept; as an exception it excepts nobody.
 */
export function memberOfPrincipal(principal: string, isException: boolean): string | undefined {
  if (principal === 'principalSet://goog/public:all') return 'allUsers';
  const { form, value = '' } =
    /^(?<form>principal:\/\/goog\/subject|principalSet:\/\/goog\/(?:group|cloudIdentityCustomerId)|principal:\/\/iam\.googleapis\.com\/projects\/-\/serviceAccounts)\/(?<value>[^/]+)$/.exec(
      principal,
    )?.groups ?? {};
  switch (form) {
    case 'principal://goog/subject':
      return normalMember(`user:${value}`);
    case 'principalSet://goog/group':
      return normalMember(`group:${value}`);
    case 'principal://iam.googleapis.com/projects/-/serviceAccounts':
      return normalMember(`serviceAccount:${value}`);
    case 'principalSet://goog/cloudIdentityCustomerId':
      return isException ? undefined : ANY_CUSTOMER;
    default:
      // Workforce and workload identities are named alike in both versions; `deleted:` names nobody.
      return principal.startsWith('deleted:') ? undefined : principal;
  }
}

/** A permission in the form of IAM v2, and the groups that hold it: `run.googleapis.com/jobs.run`, `.../jobs.*`, `.../*.run`, `.../*.*`. */
export function denialForms(permission: string): readonly string[] {
  const full = permissionOfV2(permission);
  const slash = full.indexOf('/');
  const dot = full.lastIndexOf('.');
  if (slash < 0 || dot < slash) return [full];
  const service = full.slice(0, slash);
  return [full, `${full.slice(0, dot)}.*`, `${service}/*${full.slice(dot)}`, `${service}/*.*`];
}

/** Services whose permissions begin with another word than their address. */
const HOSTS: Readonly<Record<string, string>> = { resourcemanager: 'cloudresourcemanager', cloudsql: 'cloudsql' };

/** `iam.serviceAccounts.actAs` as `iam.googleapis.com/serviceAccounts.actAs`. */
export function permissionOfV2(permission: string): string {
  if (permission.includes('/')) return permission;
  const dot = permission.indexOf('.');
  const service = permission.slice(0, dot);
  return dot < 0 ? permission : `${HOSTS[service] ?? service}.googleapis.com/${permission.slice(dot + 1)}`;
}

/** The permissions that a list of a deny rule names. */
export class PermissionPatterns {
  readonly #named: ReadonlySet<string>;
  constructor(patterns: readonly string[]) {
    this.#named = new Set(patterns);
  }
  /** @param forms of `denialForms` */
  has(forms: readonly string[]): boolean {
    for (const form of forms) if (this.#named.has(form)) return true;
    return false;
  }
}
