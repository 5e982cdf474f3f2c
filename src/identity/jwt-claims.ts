/** What may be signed as a JWT in an account's name (proto, SignJwt of google.iam.admin.v1 and google.iam.credentials.v1). */
import { invalidArgument } from '../errors.ts';
import { MICROS_PER_SECOND, type Micros } from '../timestamp.ts';

const MAX_AHEAD_SECONDS = 12 * 3600;
const DEFAULT_SECONDS = 3600;

/**
 * A claims set, checked: a JSON object whose `exp` is an integer, not past, at most twelve hours ahead.
 * @param addExpiry where there is no `exp`, one an hour ahead is added, as the older of the two APIs does
 * @returns the text to sign: as it came, or with the claim that was added @throws INVALID_ARGUMENT
 */
export function checkClaims(payload: string, now: Micros, { addExpiry }: { readonly addExpiry: boolean }): string {
  const claims = parse(payload);
  const seconds = Math.floor(now / MICROS_PER_SECOND);
  const exp = claims['exp'];
  if (exp === undefined) return addExpiry ? JSON.stringify({ ...claims, exp: seconds + DEFAULT_SECONDS }) : payload;
  if (typeof exp !== 'number' || !Number.isSafeInteger(exp)) throw invalidArgument('payload', 'exp must be an integer: seconds since the epoch.');
  if (exp < seconds) throw invalidArgument('payload', 'exp must not be in the past.');
  if (exp > seconds + MAX_AHEAD_SECONDS) throw invalidArgument('payload', 'exp must be at most 12 hours in the future.');
  return payload;
}

function parse(payload: string): Readonly<Record<string, unknown>> {
  let claims: unknown;
  try {
    claims = JSON.parse(payload);
  } catch {
    throw invalidArgument('payload', 'must be a JSON object that holds a JWT claims set.');
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) throw invalidArgument('payload', 'must be a JSON object that holds a JWT claims set.');
  // Checked above to be an object.
  return claims as Readonly<Record<string, unknown>>;
}
