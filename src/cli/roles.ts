/** The group `roles`: predefined roles that are brought along because the catalogue lacks them. A client of actas's own API. */
import type { Command } from 'commander';
import { ACTAS } from './api.ts';
import { defineCommand, defineGroup, type ListFlags, onRun, type Shell } from './command.ts';
import { readDocuments } from './documents.ts';
import { failure } from './failure.ts';
import { printResource } from './format.ts';
import { ROLE_COLUMNS, type Role } from './iam/roles.ts';
import { isList, isRecord, type Json } from './json.ts';
import { addListFlags, serverLimit, showList } from './listing.ts';

/** The server takes a thousand roles and ten megabytes at once. */
const ROLES_AT_ONCE = 500;
const BYTES_AT_ONCE = 4_000_000;

export function registerImportedRoles(program: Command, shell: Shell): void {
  const group = defineGroup(program, 'roles', 'predefined roles that the catalogue lacks');
  const load = defineCommand(group, 'import <file>', {
    summary: 'read predefined roles and their permissions, so that bindings of them are evaluated',
    description:
      'Reads what `gcloud iam roles describe` prints, as JSON or YAML: one role, several, or a list. Roles without permissions, as `gcloud iam roles list` prints them, are passed over. - reads from stdin.',
    examples: [
      'gcloud iam roles describe roles/appengine.appAdmin --format=json > role.json && actas roles import role.json',
      'curl -sH "Authorization: Bearer $(gcloud auth print-access-token)" "https://iam.googleapis.com/v1/roles?view=FULL&pageSize=1000" | actas roles import -',
    ],
  });
  onRun(load, shell, async (session, file) => {
    const found = (await readDocuments(session, file)).flatMap(rolesIn);
    const bare = found.filter((role) => role.includedPermissions === undefined);
    const custom = found.filter((role) => role.name?.startsWith('roles/') !== true);
    const roles = found.filter((role) => !bare.includes(role) && !custom.includes(role));
    if (found.length === 0) throw failure(`${file} holds no roles.`, 'It has the form that `gcloud iam roles describe` prints: name, title, stage, includedPermissions.');
    await session.project();
    if (custom.length > 0) session.terminal.warn(`${shown(custom)}: not predefined. Create custom roles with \`actas iam roles create --file\`.`);
    if (bare.length > 0) session.terminal.warn(`${shown(bare)}: without permissions, passed over. \`gcloud iam roles describe\` prints them.`);
    if (roles.length === 0) throw failure(`${file} holds no predefined role with permissions.`);
    const api = await session.api();
    const imported: string[] = [];
    for (const batch of batches(roles)) imported.push(...((await api.send<{ imported?: string[] }>('POST', ACTAS, 'roles:import', { roles: batch })).imported ?? []));
    session.terminal.note(`Imported ${count(imported.length)}${imported.length < roles.length ? `; ${count(roles.length - imported.length)} unchanged` : ''}.`);
    if (session.format !== undefined) await printResource(session.terminal, session.format, { imported });
  });

  const list = addListFlags(defineCommand(group, 'list', { summary: 'list the roles that were imported', examples: ['actas roles list'] }));
  onRun<ListFlags>(list, shell, async (session) => {
    await session.project();
    const found = await (await session.api()).list<Role>(ACTAS, 'roles', 'roles', { limit: serverLimit(session.flags) });
    await showList(session, found, ROLE_COLUMNS, 'No roles were imported.');
  });

  const remove = defineCommand(group, 'remove <role>', {
    summary: 'take an imported role out: what the catalogue says of it holds again',
    examples: ['actas roles remove roles/appengine.appAdmin'],
  });
  onRun(remove, shell, async (session, given) => {
    const name = given.startsWith('roles/') ? given : `roles/${given}`;
    await session.project();
    await (await session.api()).send('DELETE', ACTAS, name);
    session.terminal.note(`Removed role [${name}].`);
  });
}

/** A role, a list of roles, or an answer of the API that holds one. */
function rolesIn(document: Json): Role[] {
  if (isList(document)) return document.flatMap(rolesIn);
  if (!isRecord(document)) return [];
  if (isList(document['roles'])) return document['roles'].flatMap(rolesIn);
  const { name, title, description, stage, includedPermissions } = document;
  if (typeof name !== 'string') return [];
  const text = (key: string, value: Json | undefined) => (typeof value === 'string' ? { [key]: value } : {});
  return [
    {
      name,
      ...text('title', title),
      ...text('description', description),
      ...text('stage', stage),
      ...(isList(includedPermissions) ? { includedPermissions: includedPermissions.filter((permission) => typeof permission === 'string') } : {}),
    },
  ];
}

function* batches(roles: readonly Role[]): Generator<Role[]> {
  let batch: Role[] = [];
  let bytes = 0;
  for (const role of roles) {
    const size = JSON.stringify(role).length;
    if (batch.length > 0 && (batch.length === ROLES_AT_ONCE || bytes + size > BYTES_AT_ONCE)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(role);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

function shown(roles: readonly Role[]): string {
  const names = roles.map((role) => role.name ?? '');
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}
function count(roles: number): string {
  return roles === 1 ? '1 role' : `${roles} roles`;
}
