/**
 * What `getIamPolicy`, `setIamPolicy` and `testIamPermissions` do, the same for every resource that carries an allow policy: jobs,
 * service accounts, projects, folders, organizations. The service knows the resource's name, whether it exists, and who may ask;
 * the rules of a policy are those of policy/; here the two meet the store.
 *
 * Invariants: read, check and write are one transaction, so an etag that was current when it was compared is current when the
 * policy is replaced; members are checked against the accounts of that same moment.
 * Must not know: any API's resources, or the words of its errors beyond those that all of them share.
 */
import { aborted, invalidRequest } from '../errors.ts';
import type { GetIamPolicyRequest, SetIamPolicyRequest } from '../gen/google/iam/v1/iam_policy_pb.js';
import type { Policy } from '../gen/google/iam/v1/policy_pb.js';
import { applySetIamPolicy, modifiedRoles, viewPolicy } from '../policy/allow-policy.ts';
import type { RoleCatalogue } from '../policy/catalogue.ts';
import { checkPolicy, type PolicyHolder } from '../policy/check-policy.ts';
import type { ConstraintChecks } from '../policy/constraint-checks.ts';
import type { Grant } from '../policy/constraint-grants.ts';
import { normalMember } from '../policy/member.ts';
import type { Db, Store } from '../store/database.ts';
import { findPolicy, updatePolicy } from '../store/policies.ts';
import { findRole } from '../store/roles.ts';
import { isUnknownServiceAccount } from '../store/service-accounts.ts';
import { refuseForeignRoles } from './custom-role-bindings.ts';
import type { Call, Check } from './service.ts';

const MAX_PERMISSIONS = 100;
const LATEST_VERSION = 3;

/**
 * @param resource full resource name under which the policy stands (project by id); the caller has made sure that it exists
 * @param request its `options.requestedPolicyVersion`
 * @param catalogue the predefined roles: the caller is warned of roles that are kept but not evaluated, as at `setPolicy`
 * @throws INVALID_ARGUMENT for a version that does not exist
 */
export async function getPolicy(store: Store, resource: string, request: GetIamPolicyRequest, catalogue: Catalogue, call: Pick<Call, 'warn'>): Promise<Policy> {
  const stored = await findPolicy(store.read, resource);
  const shown = viewPolicy(stored, request.options?.requestedPolicyVersion ?? 0);
  if (stored !== undefined) await warnOfUnevaluated(store.read, stored, catalogue, call);
  return shown;
}

type Catalogue = Pick<RoleCatalogue, 'role'> | undefined;

async function warnOfUnevaluated(db: Db, policy: Policy, catalogue: Catalogue, call: Pick<Call, 'warn'>): Promise<void> {
  if (catalogue === undefined) return;
  for (const role of new Set(policy.bindings.map((binding) => binding.role)))
    if (catalogue.role(role) === undefined && (await findRole(db, role)) === undefined) call.warn(`${role} is not in the role catalogue: the binding is kept, but not evaluated.`);
}

/** What `setPolicy` needs to know beside the request. */
export interface SetPolicyOptions {
  /** Full resource name, project by id. */
  readonly resource: string;
  /** The kind of resource, for the rules that differ by it. */
  readonly where: PolicyHolder;
  /** What the method declares as its access, to be asked once more with the roles that the request grants or revokes: a condition may limit those. */
  readonly check?: Check;
  /** Runs in the same transaction before anything is written: throws NOT_FOUND where the resource is gone. Without it a policy could outlive a resource that is deleted meanwhile. */
  readonly ensure?: (db: Db) => Promise<unknown>;
  /** What organization policies say about new grants; without it nothing is refused. */
  readonly constraints?: Pick<ConstraintChecks, 'grants'> | undefined;
  /** The predefined roles; where given, the caller is warned of roles that are kept but not evaluated. */
  readonly catalogue?: Catalogue;
}

/**
 * Replaces the policy.
 * @returns the new policy in the form of the latest version
 * @throws INVALID_ARGUMENT for a policy that breaks a rule or names an account or a custom role that does not exist, PERMISSION_DENIED where the caller may not change what the request
 *   changes, ABORTED for a stale etag, and whatever `ensure` throws
 */
export async function setPolicy(store: Store, request: SetIamPolicyRequest, options: SetPolicyOptions, call: Call): Promise<Policy> {
  const incoming = request.policy;
  checkPolicy(incoming, options.where);
  const authorized = await authorizeChange(store, request, options, call);
  if (options.constraints !== undefined) {
    const added = addedGrants(await findPolicy(store.read, options.resource), incoming);
    await options.constraints.grants({ resource: options.resource, added }, call.principal);
  }
  const stored = await store.write(async (tx) => {
    await options.ensure?.(tx.db);
    const current = await findPolicy(tx.db, options.resource);
    const next = applySetIamPolicy(current, incoming, request.updateMask, call.now());
    // Somebody else's write since then must not widen what was authorized.
    if (authorized !== undefined && modifiedRoles(current, next).some((role) => !authorized.has(role))) throw aborted(CONCURRENT);
    await refuseUnknownAccounts(tx.db, next, current);
    await refuseForeignRoles(tx.db, options.resource, next, current);
    tx.touch('policies', options.resource);
    return updatePolicy(tx.db, options.resource, next, call.now());
  });
  await warnOfUnevaluated(store.read, stored, options.catalogue, call);
  return viewPolicy(stored, LATEST_VERSION);
}

const CONCURRENT = 'There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.';

/**
 * Asks whether the caller may set the policy once more, now with the roles that this would change: a delegated administrator may be limited to some.
 * Source: https://cloud.google.com/iam/docs/setting-limits-on-granting-roles
 * @returns the roles that were asked about; undefined where the method declares no check
 */
async function authorizeChange(store: Store, { policy, updateMask }: SetIamPolicyRequest, options: SetPolicyOptions, call: Call): Promise<ReadonlySet<string> | undefined> {
  if (options.check === undefined || policy === undefined) return undefined;
  const current = await findPolicy(store.read, options.resource);
  const roles = modifiedRoles(current, applySetIamPolicy(current, policy, updateMask, call.now()));
  const check = { ...options.check, modifiedGrantsByRole: roles };
  // The trail has the declared check already; a second entry is for what differs from it.
  if (roles.length > 0 && !(await call.isAllowed(check))) await call.authorize(check);
  return new Set(roles);
}

/**
 * Which of the permissions the caller has on the resource, in the order asked.
 * @param resource undefined: there is none, which answers as one on which the caller may do nothing, with the same refusals
 * @param asked the name as the caller wrote it
 * @throws INVALID_ARGUMENT for wildcards
 */
export async function testPermissions(resource: string | undefined, permissions: readonly string[], call: Call, asked?: string): Promise<string[]> {
  if (permissions.length > MAX_PERMISSIONS)
    throw invalidRequest(`permissions: At most ${MAX_PERMISSIONS} permissions can be tested in one request, but ${permissions.length} were sent.`, [
      { field: 'permissions', description: `at most ${MAX_PERMISSIONS}` },
    ]);
  for (const permission of permissions) {
    if (permission.length > 256 || !/^[a-zA-Z][a-zA-Z0-9-]*\.[a-zA-Z0-9.]+$/.test(permission))
      throw invalidRequest(`Permission ${permission.slice(0, 300)} is not valid for this resource.`, [
        { field: 'permissions', description: `${JSON.stringify(permission.slice(0, 300))} is not a permission; wildcards are not allowed` },
      ]);
  }
  if (resource === undefined) return [];
  const allowed: string[] = [];
  for (const permission of new Set(permissions)) {
    if (await call.isAllowed({ permission, resource, ...(asked === undefined ? {} : { asked }) })) allowed.push(permission);
  }
  return allowed;
}

/** Grants of the policy that the one before it did not make; a condition does not matter here. */
function addedGrants(current: Policy | undefined, incoming: Policy): readonly Grant[] {
  const grantsOf = (policy: Policy | undefined) => (policy?.bindings ?? []).flatMap(({ role, members }) => members.map((member): Grant => ({ role, member })));
  const before = new Set(grantsOf(current).map(({ role, member }) => `${role} ${normalMember(member)}`));
  return grantsOf(incoming).filter(({ role, member }) => !before.has(`${role} ${normalMember(member)}`));
}

/** Members that the policy had already are left alone: an account of another place may have been granted something before we knew its project. */
async function refuseUnknownAccounts(db: Db, next: Policy, current: Policy | undefined): Promise<void> {
  const before = new Set(current?.bindings.flatMap((binding) => binding.members));
  for (const member of new Set(next.bindings.flatMap((binding) => binding.members))) {
    const email = /^serviceAccount:([^\s[\]]+)$/i.exec(member)?.[1];
    if (email === undefined || before.has(member)) continue;
    if (await isUnknownServiceAccount(db, email.toLowerCase()))
      throw invalidRequest(`Service account ${email} does not exist.`, [{ field: 'policy.bindings.members', description: `Service account ${email} does not exist.` }]);
  }
}
