/** The group `secrets`, in gcloud's grammar, and `rotate-key`, which is ours. A client of google.cloud.secretmanager.v1. */
import { ACTAS, SECRETS } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, type Shell } from '../command.ts';
import { failure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { type Policy, registerPolicy } from '../policy.ts';
import { registerCreate } from './create.ts';
import { idOf, type LocationFlags, type Secret, secretName, secretParent, shortTime, withLocation } from './secret.ts';
import { registerUpdate } from './update.ts';
import { registerVersions } from './versions.ts';

const COLUMNS = [
  column<Secret>('NAME', idOf),
  column<Secret>('CREATED', (secret) => shortTime(secret.createTime)),
  column<Secret>('REPLICATION_POLICY', ({ replication }) => (replication?.userManaged === undefined ? 'automatic' : 'user_managed')),
  column<Secret>('LOCATIONS', ({ replication }) => replication?.userManaged?.replicas?.map(({ location }) => location).join(',') ?? '-'),
];

export function registerSecrets(program: CliCommand, shell: Shell): void {
  const group = defineGroup(program, 'secrets', 'secrets, their versions and policies');
  registerCreate(group, shell);
  registerReads(group, shell);
  registerUpdate(group, shell);
  registerDelete(group, shell);
  registerVersions(group, shell);
  registerPolicy(
    group,
    shell,
    {
      noun: 'secret',
      argument: '<secret>',
      example: 'my-secret',
      flags: withLocation,
      resolve: async (session, given) => ({ name: await secretName(session, given), shown: given }),
      get: (api, name) => api.get<Policy>(SECRETS, `${name}:getIamPolicy`, { 'options.requestedPolicyVersion': 3 }),
      set: (api, name, policy, updateMask) => api.send<Policy>('POST', SECRETS, `${name}:setIamPolicy`, { policy, ...(updateMask === undefined ? {} : { updateMask }) }),
    },
    'secrets',
  );
  registerRotateKey(group, shell);
}

function registerReads(group: CliCommand, shell: Shell): void {
  const list = withLocation(
    addListFlags(defineCommand(group, 'list', { summary: "list a project's secrets", examples: ['actas secrets list', 'actas secrets list --filter=labels.team=blue'] })),
  );
  onRun<LocationFlags & ListFlags>(list, shell, async (session) => {
    const parent = await secretParent(session);
    const found = await (await session.api()).list<Secret>(SECRETS, `${parent}/secrets`, 'secrets', { limit: serverLimit(session.flags) });
    await showList(session, found, session.flags.location === undefined ? COLUMNS : COLUMNS.slice(0, 2), 'No secrets here.');
  });
  const describe = withLocation(
    defineCommand(group, 'describe <secret>', { summary: 'show a secret; payloads are in its versions', examples: ['actas secrets describe my-secret'] }),
  );
  onRun<LocationFlags>(describe, shell, async (session, given) => {
    const secret = await (await session.api()).get<Secret>(SECRETS, await secretName(session, given));
    await printResource(session.terminal, session.format ?? parseFormat('yaml'), secret);
  });
  const get = defineCommand(defineGroup(group, 'replication', 'where payloads are kept'), 'get <secret>', {
    summary: "show a secret's replication",
    examples: ['actas secrets replication get my-secret'],
  });
  onRun(get, shell, async (session, given) => {
    const { replication = {} } = await (await session.api()).get<Secret>(SECRETS, await secretName(session, given));
    await printResource(session.terminal, session.format ?? parseFormat('yaml'), replication);
  });
}

function registerDelete(group: CliCommand, shell: Shell): void {
  const remove = withLocation(
    defineCommand(group, 'delete <secret>', { summary: 'delete a secret with all of its versions for good', examples: ['actas secrets delete my-secret'] }),
  ).option('--etag <etag>', 'refuse where the secret is not that one any more');
  onRun<LocationFlags & { readonly etag?: string }>(remove, shell, async (session, given) => {
    const name = await secretName(session, given);
    if (!(await session.terminal.confirm(`You are about to destroy the secret [${given}] and its versions. This cannot be undone. Continue?`))) return;
    await (await session.api()).send('DELETE', SECRETS, name, undefined, { etag: session.flags.etag });
    session.terminal.note(`Deleted secret [${given}].`);
  });
}

function registerRotateKey(group: CliCommand, shell: Shell): void {
  const rotate = defineCommand(group, 'rotate-key', {
    summary: 'encrypt what is kept of secrets under a new key',
    description:
      'Makes a new key-encryption key, wraps the data key of every payload with it, and forgets the key before it. For the owner of the data directory alone. Cut off, the next start goes on with it.',
    examples: ['actas secrets rotate-key'],
  });
  onRun(rotate, shell, async (session) => {
    await session.project();
    const answer = await (await session.api()).send<{ keyId?: string; rewrapped?: number; damaged?: string[] }>('POST', ACTAS, 'secretsKey:rotate', {});
    session.terminal.note(`${answer.rewrapped ?? 0} versions are under the new key [${answer.keyId ?? ''}]. Copy the key file again: an older copy opens nothing.`);
    if (session.format !== undefined) await printResource(session.terminal, session.format, answer);
    if ((answer.damaged ?? []).length > 0) throw failure('No key decrypts these versions; their old key is kept:', ...(answer.damaged ?? []));
  });
}
