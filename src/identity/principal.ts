/**
 * Who calls. A principal is written as IAM writes a policy member (`user:alice@example.com`, `serviceAccount:x@p.iam.gserviceaccount.com`).
 */
import { invalidRequest } from '../errors.ts';

export interface Principal {
  /** The policy member that names this caller. */
  readonly member: string;
  /** What answers show as creator, lastModifier, and in the audit trail. */
  readonly email: string;
  /** `federated`: an identity from outside, exchanged for a token by a workload identity pool. */
  readonly kind: 'user' | 'serviceAccount' | 'federated';
  /** Further members that name this caller: `principalSet://...` of a federated one, `group:...` that a sign-in's provider says. */
  readonly sets?: readonly string[];
  /** Holds the token of this data directory's owner: may mint tokens for anybody, and stop the server. */
  readonly administrator?: boolean;
  /** Numeric id of a service account that proved its name with a token. */
  readonly uniqueId?: string;
  /** What the caller's token was given for; undefined: for everything (a name that was lent, the seed). */
  readonly scopes?: readonly string[];
  /** On whose behalf the token was made: the members of the chain, who asked first. */
  readonly delegation?: readonly string[];
  /** True where nobody proved anything and `--anonymous-as` lent this name. */
  readonly anonymous?: boolean;
}

const FEDERATED = /^principal:\/\/iam\.googleapis\.com\/projects\/\d+\/locations\/global\/workloadIdentityPools\/[a-z0-9-]+\/subject\/(.+)$/s;
const EMAIL = /^[^\s@:]{1,128}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i;

/** @param member `user:EMAIL` or `serviceAccount:EMAIL` @throws INVALID_ARGUMENT for anything else: groups and domains cannot call */
export function parsePrincipal(member: string): Principal {
  const colon = member.indexOf(':');
  const kind = member.slice(0, colon);
  const email = member.slice(colon + 1);
  if ((kind !== 'user' && kind !== 'serviceAccount') || !EMAIL.test(email))
    throw invalidRequest(`principal: ${JSON.stringify(member)} is not a principal that can call. Write user:EMAIL or serviceAccount:EMAIL.`, [
      { field: 'principal', description: 'must be user:EMAIL or serviceAccount:EMAIL' },
    ]);
  const normal = email.toLowerCase();
  return { member: `${kind}:${normal}`, email: normal, kind };
}

/**
 * The one OAuth client that refresh tokens are for: what a credentials file of a user names beside its token. A public client, as every
 * installed program is: its secret is none (RFC 6749 section 2.1).
 */
export const REFRESH_CLIENT = { id: 'actas', secret: 'notasecret' } as const;

/** The caller behind a token that was exchanged for one from outside. @param member `principal://iam.googleapis.com/.../subject/S` */
export function federatedPrincipal(member: string, sets: readonly string[]): Principal {
  const subject = FEDERATED.exec(member)?.[1];
  if (subject === undefined) throw new Error(`${member} is no member of a pool`);
  return { member, email: subject, kind: 'federated', sets };
}
