/**
 * Members of policies: their forms, and which of them name a given caller.
 * Sources: google/iam/v1/policy.proto, https://docs.cloud.google.com/iam/docs/principal-identifiers
 */

/** `bucketRole`: projectOwner: and its like, which mean something on buckets only. `malformed`: a known type with a value that cannot be one. */
type MemberForm = 'email' | 'domain' | 'public' | 'federated' | 'deleted' | 'bucketRole' | 'malformed' | 'unknown';

const EMAIL = /^[^\s@:?[\]]{1,128}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i;
/** A Kubernetes service account of a workload pool: `p.svc.id.goog[namespace/account]`. */
const KUBERNETES_ACCOUNT = /^[a-z0-9.:-]+\.svc\.id\.goog\[[a-z0-9-]+\/[a-z0-9.-]+\]$/;
const DOMAIN = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/i;
const FEDERATED = /^principal(?:Set)?:\/\/(?:iam|cloudresourcemanager)\.googleapis\.com\/\S+$/;
const DELETED = /^deleted:(?:(?:user|serviceAccount|group):[^\s@:]+@[^\s@:?]+\?uid=[0-9]+|principal:\/\/\S+)$/;

export function memberForm(member: string): MemberForm {
  if (member === 'allUsers' || member === 'allAuthenticatedUsers') return 'public';
  const colon = member.indexOf(':');
  const value = member.slice(colon + 1);
  switch (colon < 0 ? '' : member.slice(0, colon)) {
    case 'user':
    case 'group':
      return EMAIL.test(value) ? 'email' : 'malformed';
    case 'serviceAccount':
      return EMAIL.test(value) || KUBERNETES_ACCOUNT.test(value) ? 'email' : 'malformed';
    case 'domain':
      return DOMAIN.test(value) ? 'domain' : 'malformed';
    case 'principal':
    case 'principalSet':
      return FEDERATED.test(member) ? 'federated' : 'malformed';
    case 'deleted':
      return DELETED.test(member) ? 'deleted' : 'malformed';
    case 'projectOwner':
    case 'projectEditor':
    case 'projectViewer':
      return 'bucketRole';
    default:
      return 'unknown';
  }
}

const CASELESS = /^(?:user|serviceAccount|group|domain):/;

/** The form in which members are compared and kept: e-mails and domains in lower case, everything else to the letter. */
export function normalMember(member: string): string {
  if (!CASELESS.test(member)) return member;
  const value = member.indexOf(':') + 1;
  return member.slice(0, value) + member.slice(value).toLowerCase();
}

/**
 * The members of a policy that name this caller, in normal form, the most particular first. The groups that it is in are for `caller.ts` to find.
 * A `deleted:` member names nobody. allAuthenticatedUsers are users and service accounts, not federated identities.
 * Deviation: `projectOwner:`, `projectEditor:` and `projectViewer:` name nobody; Cloud Storage alone gives them a meaning, on buckets.
 */
export function membersThatName(caller: string): readonly string[] {
  const normal = normalMember(caller);
  const type = normal.slice(0, normal.indexOf(':') + 1);
  switch (type) {
    case 'user:':
      return [normal, `domain:${normal.slice(normal.lastIndexOf('@') + 1)}`, 'allAuthenticatedUsers', 'allUsers'];
    case 'serviceAccount:':
      return [normal, 'allAuthenticatedUsers', 'allUsers'];
    case 'group:':
    case 'principal:':
      return [normal, 'allUsers'];
    default:
      if (normal === 'allAuthenticatedUsers') return [normal, 'allUsers'];
      return normal === 'allUsers' ? [normal] : [];
  }
}
