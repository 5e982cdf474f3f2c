/** The group `iam service-accounts`. A client of google.iam.admin.v1. */
import type { Command } from 'commander';
import { type Api, IAM } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, type Shell } from '../command.ts';
import { failure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { type Policy, registerPolicy } from '../policy.ts';
import type { Session } from '../session.ts';
import { accountName, ownName } from './account-name.ts';
import { registerDenyPolicies } from './deny-policies.ts';
import { registerKeys } from './keys.ts';
import { registerPermissionLists } from './permissions.ts';
import { registerPolicyDiff } from './policy-diff.ts';
import { registerPolicyTest } from './policy-test.ts';
import { registerRoles } from './roles.ts';
import { registerSigning } from './signing.ts';
import { registerWorkloadIdentity } from './workload-identity.ts';

export interface ServiceAccount {
  readonly name?: string;
  readonly email?: string;
  readonly uniqueId?: string;
  readonly displayName?: string;
  readonly description?: string;
  readonly disabled?: boolean;
}

interface AccountFlags {
  readonly displayName?: string;
  readonly description?: string;
}

const COLUMNS = [
  column<ServiceAccount>('DISPLAY NAME', (account) => account.displayName ?? ''),
  column<ServiceAccount>('EMAIL', (account) => account.email ?? ''),
  column<ServiceAccount>('DISABLED', (account) => (account.disabled === true ? 'True' : 'False')),
];

export function registerIam(program: Command, shell: Shell): void {
  const iam = defineGroup(program, 'iam', 'service accounts, roles and policies');
  registerRoles(iam, shell);
  registerPermissionLists(iam, shell);
  registerDenyPolicies(iam, shell);
  registerWorkloadIdentity(iam, shell);
  registerPolicyTest(iam, shell);
  registerPolicyDiff(iam, shell);
  const accounts = defineGroup(iam, 'service-accounts', 'service accounts and their policies');
  registerCreate(accounts, shell);
  registerReads(accounts, shell);
  registerUpdate(accounts, shell);
  registerStates(accounts, shell);
  registerDelete(accounts, shell);
  registerKeys(accounts, shell);
  registerSigning(accounts, shell);
  registerPolicy(
    accounts,
    shell,
    {
      noun: 'service account',
      argument: '<email>',
      example: 'hello-sa@demo.iam.gserviceaccount.com',
      async resolve(session, given) {
        const account = await accountName(session, given);
        return { name: account.name, shown: account.key };
      },
      get: (api, name) => api.send<Policy>('POST', IAM, `${name}:getIamPolicy`, undefined, { 'options.requestedPolicyVersion': 3 }),
      set: (api, name, policy, updateMask) => api.send<Policy>('POST', IAM, `${name}:setIamPolicy`, { policy, ...(updateMask === undefined ? {} : { updateMask }) }),
    },
    'iam service-accounts',
  );
}

function registerCreate(group: CliCommand, shell: Shell): void {
  const create = defineCommand(group, 'create <name>', {
    summary: 'create a service account',
    examples: ['actas iam service-accounts create hello-sa', 'actas iam service-accounts create report-sa --display-name="Nightly report"'],
  })
    .option('--display-name <text>', 'for people')
    .option('--description <text>', 'what it is for');
  onRun<AccountFlags>(create, shell, async (session, accountId) => {
    const project = await session.project();
    const { displayName, description } = session.flags;
    const account = await (await session.api()).send<ServiceAccount>('POST', IAM, `projects/${project}/serviceAccounts`, {
      accountId,
      serviceAccount: { displayName, description },
    });
    session.terminal.note(`Created service account [${accountId}].`);
    if (session.format !== undefined) return printResource(session.terminal, session.format, account);
    session.terminal.print(account.email ?? '');
  });
}

function registerReads(group: CliCommand, shell: Shell): void {
  const list = addListFlags(
    defineCommand(group, 'list', {
      summary: "list a project's service accounts",
      examples: ['actas iam service-accounts list', 'actas iam service-accounts list --format="value(email)"'],
    }),
  );
  onRun<ListFlags>(list, shell, async (session) => {
    const project = await session.project();
    const found = await (await session.api()).list<ServiceAccount>(IAM, `projects/${project}/serviceAccounts`, 'accounts', {
      query: { pageSize: 100 },
      limit: serverLimit(session.flags),
    });
    await showList(session, found, COLUMNS, 'No service accounts here.');
  });
  const describe = defineCommand(group, 'describe <email>', {
    summary: 'show a service account',
    examples: ['actas iam service-accounts describe hello-sa@demo.iam.gserviceaccount.com'],
  });
  onRun(describe, shell, async (session, given) => {
    const { name } = await accountName(session, given);
    await print(session, await (await session.api()).get<ServiceAccount>(IAM, name));
  });
}

function registerUpdate(group: CliCommand, shell: Shell): void {
  const update = defineCommand(group, 'update <email>', {
    summary: "change a service account's display name or description",
    examples: ['actas iam service-accounts update hello-sa@demo.iam.gserviceaccount.com --display-name=Hello'],
  })
    .option('--display-name <text>', 'for people; empty removes it')
    .option('--description <text>', 'what it is for; empty removes it');
  onRun<AccountFlags>(update, shell, async (session, given) => {
    const account = await accountName(session, given);
    const { displayName, description } = session.flags;
    const mask = [...(displayName === undefined ? [] : ['displayName']), ...(description === undefined ? [] : ['description'])];
    if (mask.length === 0) throw failure('Nothing to change.', 'Name what: --display-name, --description.');
    const name = ownName(account, await session.project());
    const updated = await (await session.api()).send<ServiceAccount>('PATCH', IAM, name, { serviceAccount: { displayName, description }, updateMask: mask.join(',') });
    session.terminal.note(`Updated service account [${account.key}].`);
    await print(session, updated);
  });
}

function registerStates(group: CliCommand, shell: Shell): void {
  const verbs = [
    { verb: 'disable', done: 'Disabled', summary: 'disable a service account: its tokens stop working' },
    { verb: 'enable', done: 'Enabled', summary: 'enable a service account again' },
  ] as const;
  for (const { verb, done, summary } of verbs) {
    const command = defineCommand(group, `${verb} <email>`, { summary, examples: [`actas iam service-accounts ${verb} hello-sa@demo.iam.gserviceaccount.com`] });
    onRun(command, shell, async (session, given) => {
      const account = await accountName(session, given);
      const name = ownName(account, await session.project());
      await (await session.api()).send('POST', IAM, `${name}:${verb}`, {});
      session.terminal.note(`${done} service account [${account.key}].`);
    });
  }
}

function registerDelete(group: CliCommand, shell: Shell): void {
  const remove = defineCommand(group, 'delete <email>', {
    summary: 'delete a service account; undelete brings it back for 30 days',
    examples: ['actas iam service-accounts delete hello-sa@demo.iam.gserviceaccount.com'],
  });
  onRun(remove, shell, async (session, given) => {
    const account = await accountName(session, given);
    if (!(await session.terminal.confirm(`You are about to delete service account [${account.key}]. Continue?`))) return;
    const api = await session.api();
    const uniqueId = await uniqueIdOf(api, account.name);
    await api.send('DELETE', IAM, account.name);
    session.terminal.note(`Deleted service account [${account.key}].`);
    if (uniqueId !== undefined) session.terminal.note(`Bring it back within 30 days:  ${session.hint(`iam service-accounts undelete ${uniqueId}`)}`);
  });

  const undelete = defineCommand(group, 'undelete <unique-id>', {
    summary: 'bring a deleted service account back',
    examples: ['actas iam service-accounts undelete 103271949540120710052'],
  });
  onRun(undelete, shell, async (session, uniqueId) => {
    await session.project();
    const answer = await (await session.api()).send<{ restoredAccount?: ServiceAccount }>('POST', IAM, `projects/-/serviceAccounts/${uniqueId}:undelete`, {});
    session.terminal.note(`Restored service account [${answer.restoredAccount?.email ?? uniqueId}].`);
    await print(session, answer.restoredAccount ?? {});
  });
}

/** Only for the hint that follows a deletion, so who may delete but not read just gets no hint. */
async function uniqueIdOf(api: Api, name: string): Promise<string | undefined> {
  return api.get<ServiceAccount>(IAM, name).then(
    (account) => account.uniqueId,
    () => undefined,
  );
}

async function print(session: Session, account: ServiceAccount): Promise<void> {
  await printResource(session.terminal, session.format ?? parseFormat('yaml'), account);
}
