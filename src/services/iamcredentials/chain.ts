/**
 * The way from a caller to the account whose credentials it asks for, link by link: the caller must be let through by the first
 * delegate, each delegate by the next, and the last by the account itself. Each link is judged by the policy of the account that lets
 * through, about the one that wants through; like this nobody reaches further than each link on its own allows.
 */
import { invalidArgument, invalidRequest } from '../../errors.ts';
import type { Call, Check, Lookup } from '../service.ts';

const NAME = /^projects\/-\/serviceAccounts\/(?<key>[^/\s]+)$/;
const IMPLICIT_DELEGATION = 'iam.serviceAccounts.implicitDelegation';
/** Longer ones are nobody's need, and each link costs a decision. */
const MAX_DELEGATES = 10;

export interface Chained {
  readonly name: string;
  readonly delegates: readonly string[];
}

/** The first link is the caller's own, and declared as the method's access. @param permission on the account at the end */
export async function firstCheck(request: Chained, permission: string, look: Lookup): Promise<Check> {
  parseTarget(request.name, 'name');
  checkDelegates(request);
  const [first] = request.delegates;
  return first === undefined ? checkOn(permission, request.name, look) : checkOn(IMPLICIT_DELEGATION, first, look);
}

/**
 * The further links, each about the delegate before it. Nothing is said about an account before the link to it holds.
 * @param find the e-mail address of an account that can be spoken for @returns the members on whose behalf credentials are made, the caller first
 * @throws PERMISSION_DENIED with the link that is missing, INVALID_ARGUMENT where a delegate comes twice
 */
export async function followChain(
  request: Chained,
  permission: string,
  call: Call,
  deps: { readonly look: Lookup; find(key: string): Promise<string> },
): Promise<readonly string[]> {
  const members = [call.principal.member];
  for (const [index, delegate] of request.delegates.entries()) {
    const member = `serviceAccount:${await deps.find(parseTarget(delegate, 'delegates'))}`;
    // By address and by unique id a chain could name one account twice.
    if (members.slice(1).includes(member)) throw invalidArgument('delegates', `the chain comes to ${member.slice('serviceAccount:'.length)} twice.`);
    members.push(member);
    const next = request.delegates[index + 1];
    await call.authorize(await (next === undefined ? checkOn(permission, request.name, deps.look) : checkOn(IMPLICIT_DELEGATION, next, deps.look)), undefined, member);
  }
  // A token made by a token made by a token: each member once, or two accounts that call each other would grow the list without end.
  return [...new Set([...(call.principal.delegation ?? []), ...members])];
}

/** @returns e-mail address or unique id @throws INVALID_ARGUMENT */
export function parseTarget(name: string, field: string): string {
  const key = NAME.exec(name)?.groups?.['key'];
  if (key === undefined)
    throw invalidRequest(`${field}: ${JSON.stringify(name.slice(0, 300))} is not of the form projects/-/serviceAccounts/EMAIL_OR_UNIQUE_ID. The - is required.`, [
      { field, description: 'must be projects/-/serviceAccounts/EMAIL_OR_UNIQUE_ID' },
    ]);
  return key;
}

async function checkOn(permission: string, name: string, look: Lookup): Promise<Check> {
  return { permission, resource: (await look.serviceAccount('-', parseTarget(name, 'delegates'))) ?? `//iam.googleapis.com/${name}`, asked: name };
}

function checkDelegates({ name, delegates }: Chained): void {
  if (delegates.length > MAX_DELEGATES) throw invalidArgument('delegates', `at most ${MAX_DELEGATES} are taken, but there are ${delegates.length}.`);
  const keys = [...delegates, name].map((one) => parseTarget(one, 'delegates').toLowerCase());
  if (new Set(keys).size < keys.length) throw invalidArgument('delegates', 'the chain comes to one account twice.');
}
