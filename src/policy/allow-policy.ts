/**
 * Allow policies as they are written and shown: what `setIamPolicy` accepts, what it makes of it, and what `getIamPolicy` answers, the same for
 * every service. A service does: `checkPolicy`, then what it alone knows (whether a service account exists), then `applySetIamPolicy` and the store.
 * A stored policy is in normal form: one binding per role and condition, no member twice, sorted, version 3 exactly where a condition is.
 */
import { createHash } from 'node:crypto';
import { clone, create, equals } from '@bufbuild/protobuf';
import type { FieldMask } from '@bufbuild/protobuf/wkt';
import { aborted, invalidArgument } from '../errors.ts';
import { type Binding, BindingSchema, type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { type Expr, ExprSchema } from '../gen/google/type/expr_pb.js';
import type { Micros } from '../timestamp.ts';
import { normalMember } from './member.ts';

/** Base64 `ACAB`: the etag of a policy that was never set. */
const NEVER_SET_ETAG = Uint8Array.of(0x00, 0x20, 0x01);

/** Etags look like Google's: a 7, then the time of the change in microseconds in seven bytes. They grow with every change of one policy. */
function etagAt(now: Micros, previous: Uint8Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(now));
  if (previous.length === 8) {
    const last = new DataView(previous.buffer, previous.byteOffset, 8).getBigUint64(0) & 0x00ff_ffff_ffff_ffffn;
    if (BigInt(now) <= last) view.setBigUint64(0, last + 1n);
  }
  view.setUint8(0, 7);
  return new Uint8Array(view.buffer);
}

/**
 * What `setIamPolicy` stores and answers.
 * @param current the stored policy with its etag; undefined where none was ever set
 * @param requested the request's policy; it must have passed `checkPolicy`
 * @param updateMask which fields to take; without one `bindings` and `etag` (google.iam.v1.SetIamPolicyRequest), so audit settings stay
 * @throws ABORTED where the policy's etag is not the current one; without an etag the policy is overwritten
 * @throws INVALID_ARGUMENT for an unknown path, and where a caller that knows no conditions would lose them
 */
export function applySetIamPolicy(current: Policy | undefined, requested: Policy, updateMask: FieldMask | undefined, now: Micros): Policy {
  const fields = maskedFields(updateMask);
  const currentEtag = current?.etag ?? NEVER_SET_ETAG;
  if (requested.etag.length > 0) {
    if (!sameBytes(requested.etag, currentEtag)) throw aborted('There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.');
    if (current !== undefined && hasConditions(current) && requested.version < 3)
      throw invalidArgument(
        'policy.version',
        `Specified policy version (${requested.version}) cannot be less than the existing policy version (3). For more information, please refer to https://cloud.google.com/iam/docs/policies#versions.`,
      );
  }
  const next = create(PolicySchema, {
    bindings: normalBindings(fields.has('bindings') ? requested.bindings : (current?.bindings ?? [])),
    auditConfigs: fields.has('audit_configs') ? requested.auditConfigs : (current?.auditConfigs ?? []),
    etag: etagAt(now, currentEtag),
  });
  next.version = hasConditions(next) ? 3 : 1;
  return clone(PolicySchema, next);
}

/**
 * What `getIamPolicy` answers: the policy, or just the etag where none was ever set. To a caller that did not ask for version 3 a conditional binding is
 * shown without its condition, under a role name that no longer is one (`roles/x_withcond_HASH`), so that it cannot be written back as an unconditional one.
 * @param requestedPolicyVersion `GetPolicyOptions.requested_policy_version`, 0 where it is not set
 * @throws INVALID_ARGUMENT for versions other than 0, 1 and 3
 */
export function viewPolicy(policy: Policy | undefined, requestedPolicyVersion: number): Policy {
  if (!isVersion(requestedPolicyVersion))
    throw invalidArgument('options.requested_policy_version', `Requested policy version (${requestedPolicyVersion}) is invalid. Valid versions are 0, 1 and 3.`);
  if (policy === undefined) return create(PolicySchema, { etag: NEVER_SET_ETAG });
  const view = clone(PolicySchema, policy);
  view.version = hasConditions(policy) ? 3 : 1;
  if (view.version === 1 || requestedPolicyVersion === 3) return view;
  view.version = 1;
  view.bindings = view.bindings.map((binding) =>
    binding.condition === undefined ? binding : create(BindingSchema, { role: `${binding.role}_withcond_${conditionHash(binding.condition)}`, members: binding.members }),
  );
  return view;
}

export function isVersion(version: number): boolean {
  return version === 0 || version === 1 || version === 3;
}

export function hasConditions(policy: Policy): boolean {
  return policy.bindings.some((binding) => binding.condition !== undefined);
}

/** The roles that a change of the policy grants to somebody or revokes from somebody, in order: one whose members, or the conditions they hold it under, differ. */
export function modifiedRoles(before: Policy | undefined, after: Policy): string[] {
  const grantsOf = (policy: Policy | undefined): Set<string> =>
    new Set(
      policy?.bindings.flatMap(({ role, members, condition }) => {
        const under = condition === undefined ? '' : conditionHash(condition);
        return members.map((member) => `${role} ${under} ${normalMember(member)}`);
      }),
    );
  const [held, next] = [grantsOf(before), grantsOf(after)];
  const changed = [...held].filter((grant) => !next.has(grant)).concat([...next].filter((grant) => !held.has(grant)));
  return [...new Set(changed.map((grant) => grant.slice(0, grant.indexOf(' '))))].sort();
}

function maskedFields(mask: FieldMask | undefined): ReadonlySet<string> {
  if (mask === undefined || mask.paths.length === 0) return new Set(['bindings', 'etag']);
  const fields = new Set<string>();
  for (const path of mask.paths) {
    if (path === '*') return new Set(['bindings', 'etag', 'audit_configs']);
    const field = path === 'auditConfigs' ? 'audit_configs' : path;
    if (!['bindings', 'etag', 'version', 'audit_configs'].includes(field)) throw invalidArgument('update_mask', `${JSON.stringify(path)} is not a field of google.iam.v1.Policy.`);
    fields.add(field);
  }
  return fields;
}

/** One binding per role and condition, by role; bindings without members are gone. */
function normalBindings(bindings: readonly Binding[]): Binding[] {
  const merged: Binding[] = [];
  for (const { role, condition, members } of bindings) {
    const same = merged.find((other) => other.role === role && sameCondition(other.condition, condition));
    if (same !== undefined) same.members.push(...members);
    else merged.push(create(BindingSchema, { role, members: [...members], ...(condition === undefined ? {} : { condition }) }));
  }
  for (const binding of merged) binding.members = [...new Set(binding.members.map(normalMember))].sort();
  return merged.filter((binding) => binding.members.length > 0).sort((a, b) => (a.role < b.role ? -1 : a.role > b.role ? 1 : 0));
}

function sameCondition(a: Expr | undefined, b: Expr | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equals(ExprSchema, a, b);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** 20 hexadecimal digits, as Google's. */
function conditionHash(condition: Expr): string {
  return createHash('sha256')
    .update(JSON.stringify([condition.title, condition.description, condition.expression, condition.location]))
    .digest('hex')
    .slice(0, 20);
}
