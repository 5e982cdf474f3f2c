/** What is asked of the decision engine, and what it answers. */
import type { Micros } from '../timestamp.ts';

export interface Question {
  /** Policy member: `user:alice@example.com`, `serviceAccount:x@p.iam.gserviceaccount.com`, `principal://...`, `group:...`, `allUsers`. */
  readonly member: string;
  /** Further members that name a federated caller: `principalSet://.../attribute.repository/x`, `group:...`. */
  readonly sets?: readonly string[] | undefined;
  readonly permission: string;
  /** Full resource name; the project as id or number. */
  readonly resource: string;
  /** `request.time` of conditions; the authorizer's clock where absent. */
  readonly time?: Micros | undefined;
  /** `request.host` and `request.path` of conditions, where something is invoked. */
  readonly request?: { readonly host: string; readonly path: string } | undefined;
  /** Where a policy is to be set: the roles that this would grant or revoke. */
  readonly modifiedGrantsByRole?: readonly string[] | undefined;
}

export interface Decision {
  readonly allowed: boolean;
  /**
   * Where not allowed: the bindings of this member that might have granted it and could not be evaluated, for the catalogue lacks the role,
   * or knows it only in part and not for this permission's service. Such a binding never allows; whoever answers a denial names it. Empty where allowed.
   */
  readonly unevaluatedRoles: readonly { readonly role: string; readonly resource: string }[];
  /** Where allowed: the nearest binding that grants it, and the member in it that matched. */
  readonly grantedBy?: { readonly role: string; readonly resource: string; readonly member: string };
  /** Where a deny rule denied it. */
  readonly deniedBy?: { readonly policy: string; readonly rule: number; readonly resource: string };
  /** Where not allowed: bindings that would have granted it if their condition had not failed, with why. */
  readonly failedConditions?: readonly { readonly role: string; readonly resource: string; readonly reason: string }[];
}
