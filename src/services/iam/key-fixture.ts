/** For tests of the IAM service: keys on a real store, and organization policies that say what the test wants. */
import { type AccountKeys, createAccountKeys } from '../../identity/account-keys.ts';
import type { ConstraintValues, OrgPolicies } from '../../policy/org-policy.ts';
import type { Store } from '../../store/database.ts';
import { accountKeyStore } from '../../store/service-account-keys.ts';
import { type Clock, systemClock } from '../../timestamp.ts';

export interface KeyFixture {
  readonly orgPolicies: OrgPolicies;
  readonly accountKeys: AccountKeys;
  url(): string;
  /** Constraints that are enforced. */
  readonly enforced: Set<string>;
  /** Values that a list constraint allows. */
  readonly allowed: Map<string, readonly string[]>;
}

export function createKeyFixture(store: Store, clock: Clock = systemClock): KeyFixture {
  const enforced = new Set<string>();
  const allowed = new Map<string, readonly string[]>();
  const values = async (constraint: string): Promise<ConstraintValues> => ({ all: undefined, allowed: new Set(allowed.get(constraint)), denied: new Set() });
  const accountKeys = createAccountKeys({ store: accountKeyStore(store), clock });
  store.onCommit('serviceAccounts', () => accountKeys.invalidate());
  store.onCommit('serviceAccountKeys', () => accountKeys.invalidate());
  return {
    orgPolicies: {
      isEnforced: async (constraint) => enforced.has(constraint),
      isValueAllowed: async (constraint, _resource, value) => allowed.get(constraint)?.includes(value) === true,
      values,
    },
    accountKeys,
    url: () => 'http://127.0.0.1:8787',
    enforced,
    allowed,
  };
}
