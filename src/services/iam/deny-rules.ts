/** What a deny policy must be: its texts, principals, permissions and conditions, and Google's limits. Pure. */
import { invalidArgument, resourceExhausted } from '../../errors.ts';
import type { DenyRule } from '../../gen/google/iam/v2/deny_pb.js';
import type { Policy } from '../../gen/google/iam/v2/policy_pb.js';
import type { KnownPermissions } from './known-permissions.ts';

/** Source: https://docs.cloud.google.com/iam/quotas; the counts are of all deny policies of one resource. */
const MAX_POLICIES = 500;
const MAX_RULES = 500;
const MAX_PRINCIPALS = 2500;
const MAX_GROUPS_AND_CUSTOMERS = 500;
/** Source: google/iam/v2/policy.proto. Characters. */
const MAX_DISPLAY_NAME = 63;
const MAX_DESCRIPTION = 256;
const MAX_ANNOTATION_KEY = 63;
const MAX_ANNOTATION_VALUE = 255;
/** Of everything in a policy that has no limit of its own. */
const MAX_PERMISSIONS_IN_RULE = 3000;

const EVERYBODY = 'principalSet://goog/public:all';
const EMAIL = String.raw`[^\s@/:?]{1,128}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?`;
const POOL = String.raw`(?:locations/global/workforcePools|projects/\d+/locations/global/workloadIdentityPools)/[a-z0-9-]{1,64}`;
/** Source: google/iam/v2/deny.proto and https://docs.cloud.google.com/iam/docs/principal-identifiers#v2 */
const PRINCIPAL = new RegExp(
  `^(?:principal://goog/subject/${EMAIL}` +
    `|principalSet://goog/group/${EMAIL}` +
    `|principal://iam\\.googleapis\\.com/projects/-/serviceAccounts/(?:${EMAIL}|\\d{1,32})` +
    `|deleted:(?:principal://goog/subject|principalSet://goog/group|principal://iam\\.googleapis\\.com/projects/-/serviceAccounts)/${EMAIL}\\?uid=\\d+` +
    '|principalSet://goog/cloudIdentityCustomerId/[A-Za-z0-9]+' +
    '|principalSet://cloudresourcemanager\\.googleapis\\.com/(?:projects|folders|organizations)/\\d+(?:/type/(?:ServiceAccount|ServiceAgent))?' +
    `|principal://iam\\.googleapis\\.com/${POOL}/subject/\\S+` +
    `|principalSet://iam\\.googleapis\\.com/${POOL}/(?:group/\\S+|attribute\\.[a-z0-9_]+/\\S+|\\*))$`,
);
/** `run.googleapis.com/jobs.run`, and the groups `run.googleapis.com/jobs.*`, `run.googleapis.com/*.run`, `run.googleapis.com/*.*`. */
const PERMISSION = /^(?<service>[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+)\/(?<rest>(?:\*|[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)*)\.(?:\*|[A-Za-z][A-Za-z0-9_-]*))$/;
/** Services whose permissions begin with another word than their host. */
const SERVICE_WORDS: Readonly<Record<string, string>> = { 'cloudresourcemanager.googleapis.com': 'resourcemanager', 'sqladmin.googleapis.com': 'cloudsql' };

/** @throws INVALID_ARGUMENT */
export function checkDenyPolicyId(id: string): void {
  if (!/^[a-z][a-z0-9.-]{2,62}$/.test(id))
    throw invalidArgument('policy_id', `${JSON.stringify(id)} must have 3 to 63 lowercase letters, digits, dashes and periods, and begin with a letter.`);
}

/** Whether an expression may stand in a denial condition. @returns what is wrong with it */
export type ConditionFault = (expression: string) => string | undefined;

/**
 * Deviation: a permission in a deny rule that is known, or of a service that the role catalogue does not list completely, is accepted; Google supports only some there.
 * @throws INVALID_ARGUMENT
 */
export function checkDenyPolicy(policy: Policy, known: KnownPermissions, conditionFault: ConditionFault): void {
  atMost('policy.display_name', policy.displayName, MAX_DISPLAY_NAME);
  for (const [key, value] of Object.entries(policy.annotations)) {
    if (key === '') throw invalidArgument('policy.annotations', 'a key must not be empty.');
    atMost(`policy.annotations key ${JSON.stringify(key.slice(0, MAX_ANNOTATION_KEY))}`, key, MAX_ANNOTATION_KEY);
    atMost(`policy.annotations[${JSON.stringify(key)}]`, value, MAX_ANNOTATION_VALUE);
  }
  if (policy.rules.length > MAX_RULES) throw invalidArgument('policy.rules', `must have at most ${MAX_RULES} rules, but has ${policy.rules.length}.`);
  for (const [index, rule] of policy.rules.entries()) {
    const field = `policy.rules[${index}]`;
    atMost(`${field}.description`, rule.description, MAX_DESCRIPTION);
    if (rule.kind.case !== 'denyRule') throw invalidArgument(field, 'a rule of a deny policy needs a denyRule.');
    checkDenyRule(rule.kind.value, `${field}.deny_rule`, known, conditionFault);
  }
}

function checkDenyRule(rule: DenyRule, field: string, known: KnownPermissions, conditionFault: ConditionFault): void {
  if (rule.deniedPrincipals.length === 0) throw invalidArgument(`${field}.denied_principals`, `names nobody. ${EVERYBODY} stands for everybody.`);
  if (rule.deniedPermissions.length === 0) throw invalidArgument(`${field}.denied_permissions`, 'names no permission, for example run.googleapis.com/jobs.run.');
  for (const principal of rule.deniedPrincipals) if (principal !== EVERYBODY) checkPrincipal(principal, `${field}.denied_principals`);
  for (const principal of rule.exceptionPrincipals) {
    if (principal === EVERYBODY) throw invalidArgument(`${field}.exception_principals`, `${EVERYBODY} cannot be an exception.`);
    checkPrincipal(principal, `${field}.exception_principals`);
  }
  checkPermissionNames(rule.deniedPermissions, `${field}.denied_permissions`, known);
  checkPermissionNames(rule.exceptionPermissions, `${field}.exception_permissions`, known);
  refuseLockout(rule, field);
  const { denialCondition: condition } = rule;
  if (condition === undefined) return;
  if (condition.expression.trim() === '') throw invalidArgument(`${field}.denial_condition.expression`, 'a condition needs an expression.');
  const fault = conditionFault(condition.expression);
  if (fault !== undefined) throw invalidArgument(`${field}.denial_condition.expression`, `${fault}. A denial condition can use tag functions only, such as resource.matchTag.`);
}

/** A rule that was taken and denied nobody would be worse than none. */
const NOT_TOLD = /^(?:principalSet:\/\/cloudresourcemanager\.googleapis\.com\/|principal:\/\/iam\.googleapis\.com\/projects\/-\/serviceAccounts\/\d+$)/;

/**
 * Deviation: in deny rules, all service accounts of a project, folder or organization (`principalSet://cloudresourcemanager.googleapis.com/...`) and accounts by their unique id are refused: decisions know callers by address.
 */
function checkPrincipal(principal: string, field: string): void {
  if (NOT_TOLD.test(principal))
    throw invalidArgument(
      field,
      `${JSON.stringify(principal)} is not served in deny rules. Name accounts by their addresses, principal://iam.googleapis.com/projects/-/serviceAccounts/EMAIL, or everybody with exceptions.`,
    );
  if (!PRINCIPAL.test(principal))
    throw invalidArgument(
      field,
      `${JSON.stringify(principal)} is not a principal. Write for example principal://goog/subject/EMAIL, principalSet://goog/group/EMAIL or principal://iam.googleapis.com/projects/-/serviceAccounts/EMAIL.`,
    );
}

function checkPermissionNames(permissions: readonly string[], field: string, known: KnownPermissions): void {
  if (permissions.length > MAX_PERMISSIONS_IN_RULE) throw invalidArgument(field, `must have at most ${MAX_PERMISSIONS_IN_RULE} permissions, but has ${permissions.length}.`);
  for (const permission of permissions) {
    const { service = '', rest } = PERMISSION.exec(permission)?.groups ?? {};
    if (rest === undefined || permission.length > 256)
      throw invalidArgument(
        field,
        `${JSON.stringify(permission)} is not a permission of a deny rule. Write SERVICE/RESOURCE.VERB with the service's full name, for example run.googleapis.com/jobs.run.`,
      );
    if (rest.includes('*')) continue;
    const word = SERVICE_WORDS[service] ?? service.slice(0, service.indexOf('.'));
    if (known.knowledge(`${word}.${rest}`) === 'unknown' && known.knowledge(permission) !== 'known')
      throw invalidArgument(field, `${permission} is not a permission that is known.`);
  }
}

const UNDOING = /^iam\.googleapis\.com\/(?:denypolicies\.(?:\*|delete)|\*\.(?:\*|delete))$/;

/**
 * Nobody could take back a rule that keeps everybody from deleting deny policies, and here there is no support to call.
 * Deviation: a deny rule that denies `iam.googleapis.com/denypolicies.delete` to everybody, without an exception or a condition, is refused.
 */
function refuseLockout(rule: DenyRule, field: string): void {
  const { deniedPrincipals, deniedPermissions, exceptionPrincipals, exceptionPermissions, denialCondition } = rule;
  if (!deniedPrincipals.includes(EVERYBODY) || exceptionPrincipals.length > 0 || denialCondition !== undefined) return;
  if (deniedPermissions.some((permission) => UNDOING.test(permission)) && !exceptionPermissions.some((permission) => UNDOING.test(permission)))
    throw invalidArgument(
      `${field}.exception_principals`,
      'names nobody, so nobody could ever delete this policy: it denies iam.googleapis.com/denypolicies.delete to everybody. Name who may, for example principal://goog/subject/EMAIL.',
    );
}

/** @param policies all that would be on the resource, the new one included @throws RESOURCE_EXHAUSTED */
export function checkAttachedLimits(policies: readonly Policy[]): void {
  const rules = policies.flatMap((policy) => policy.rules).flatMap((rule) => (rule.kind.case === 'denyRule' ? [rule.kind.value] : []));
  const principals = rules.flatMap((rule) => [...rule.deniedPrincipals, ...rule.exceptionPrincipals]);
  const sets = principals.filter((principal) => /^principalSet:\/\/goog\/(?:group|cloudIdentityCustomerId)\//.test(principal));
  const limits = [
    ['deny policies', policies.length, MAX_POLICIES],
    ['deny rules', rules.length, MAX_RULES],
    ['principals in deny policies', principals.length, MAX_PRINCIPALS],
    ['groups and domains in deny policies', sets.length, MAX_GROUPS_AND_CUSTOMERS],
  ] as const;
  for (const [what, has, most] of limits) if (has > most) throw resourceExhausted(`The number of ${what} of the resource (${has}) exceeds the maximum allowed limit (${most}).`);
}

function atMost(field: string, text: string, most: number): void {
  const has = Array.from(text).length;
  if (has > most) throw invalidArgument(field, `must have at most ${most} characters, but has ${has}.`);
}
