/** Names and texts of groups, taken apart and checked at the edge. */
import { invalidArgument, invalidRequest } from '../../errors.ts';
import { memberForm, normalMember } from '../../policy/member.ts';

/** Those of Google's groups. Source: https://cloud.google.com/identity/docs/reference/rest/v1/groups#Group */
const MAX_DISPLAY_NAME = 73;
const MAX_DESCRIPTION = 4096;
const MAX_MEMBERS_AT_ONCE = 1000;

const ORGANIZATION = /^organizations\/(\d{1,20})$/;
const GROUP = /^(organizations\/\d{1,20})\/groups\/([^/\s]{3,320})$/;

/** @returns the organization's number @throws INVALID_ARGUMENT */
export function parseGroupParent(parent: string): string {
  const number = ORGANIZATION.exec(parent)?.[1];
  if (number === undefined)
    throw invalidRequest(`parent: ${JSON.stringify(parent)} is no organization. Write organizations/NUMBER.`, [{ field: 'parent', description: 'must be organizations/NUMBER' }]);
  return number;
}

/** @returns the organization's name and the address in lower case @throws INVALID_ARGUMENT */
export function parseGroupName(name: string, field = 'name'): { readonly parent: string; readonly email: string } {
  const [, parent, email] = GROUP.exec(name) ?? [];
  if (parent === undefined || email === undefined)
    throw invalidRequest(`${field}: ${JSON.stringify(name)} is not the name of a group. Write organizations/NUMBER/groups/EMAIL.`, [
      { field, description: 'must be organizations/NUMBER/groups/EMAIL' },
    ]);
  return { parent, email: checkGroupEmail(email, field) };
}

/** @returns the address in lower case @throws INVALID_ARGUMENT */
export function checkGroupEmail(email: string, field = 'group.email'): string {
  if (memberForm(`group:${email}`) !== 'email') throw invalidArgument(field, `${JSON.stringify(email)} is not an e-mail address, for example team@example.com.`);
  return email.toLowerCase();
}

/** @throws INVALID_ARGUMENT */
export function checkGroupTexts(group: { readonly displayName: string; readonly description: string }): void {
  const atMost = (field: string, text: string, most: number) => {
    const has = Array.from(text).length;
    if (has > most) throw invalidArgument(field, `must have at most ${most} characters, but has ${has}.`);
  };
  atMost('group.display_name', group.displayName, MAX_DISPLAY_NAME);
  atMost('group.description', group.description, MAX_DESCRIPTION);
}

/** @returns them in normal form, none twice @throws INVALID_ARGUMENT */
export function checkMembers(members: readonly string[]): string[] {
  if (members.length === 0) throw invalidArgument('members', 'names nobody. Write for example user:dev@example.com.');
  if (members.length > MAX_MEMBERS_AT_ONCE) throw invalidArgument('members', `at most ${MAX_MEMBERS_AT_ONCE} in one request, but ${members.length} were sent.`);
  return [...new Set(members.map(checkMember))];
}

/** @returns it in normal form @throws INVALID_ARGUMENT */
export function checkMember(member: string): string {
  if (!/^(?:user|serviceAccount|group):/.test(member) || memberForm(member) !== 'email' || member.includes('['))
    throw invalidArgument('members', `${JSON.stringify(member)} cannot be a member of a group. Write user:EMAIL, serviceAccount:EMAIL or group:EMAIL.`);
  return normalMember(member);
}
