/** `iam service-accounts keys`. A client of google.iam.admin.v1. Key files are written for their owner's eyes alone. */
import { Option } from 'commander';
import { IAM } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { failure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { addListFlags, column, showList } from '../listing.ts';
import { readBytes, writePrivateFile } from '../private-file.ts';
import type { Session } from '../session.ts';
import { accountName, ownName } from './account-name.ts';

interface AccountFlags {
  readonly iamAccount?: string;
}
interface Key {
  readonly name?: string;
  readonly privateKeyData?: string;
  readonly publicKeyData?: string;
  readonly validAfterTime?: string;
  readonly validBeforeTime?: string;
  readonly disabled?: boolean;
  readonly keyType?: string;
}

const idOf = (key: Key): string => key.name?.split('/').at(-1) ?? '';
const COLUMNS = [
  column<Key>('KEY_ID', idOf),
  column<Key>('CREATED_AT', (key) => key.validAfterTime ?? ''),
  column<Key>('EXPIRES_AT', (key) => key.validBeforeTime ?? ''),
  column<Key>('DISABLED', (key) => (key.disabled === true ? 'True' : '')),
];
const EXAMPLE = '--iam-account=hello-sa@demo.iam.gserviceaccount.com';

export function registerKeys(accounts: CliCommand, shell: Shell): void {
  const keys = defineGroup(accounts, 'keys', 'keys of service accounts');
  registerCreate(keys, shell);
  registerUpload(keys, shell);
  registerReads(keys, shell);
  registerChanges(keys, shell);
}

/** `--iam-account`, as gcloud has it on each of these. */
function ofAccount(command: CliCommand): CliCommand {
  return command.option('--iam-account <email>', "the key's service account");
}

/** In the account's own project: `-` would hide a missing account behind a denial. */
async function accountOf(session: Session<AccountFlags>): Promise<{ readonly name: string; readonly key: string }> {
  const account = await accountName(session, requiredFlag(session.flags.iamAccount, '--iam-account'));
  return { name: ownName(account, await session.project()), key: account.key };
}

function registerCreate(keys: CliCommand, shell: Shell): void {
  const create = ofAccount(
    defineCommand(keys, 'create <output-file>', {
      summary: 'create a key, and write its key file (mode 0600)',
      description: 'The private key is in the file and nowhere else; `-` prints it. Impersonation and, in tasks, the metadata server need no key.',
      examples: [`actas iam service-accounts keys create key.json ${EXAMPLE}`],
    }),
  ).addOption(new Option('--key-file-type <type>', 'form of the key file').choices(['json']).default('json'));
  onRun<AccountFlags>(create, shell, async (session, file) => {
    const account = await accountOf(session);
    const key = await (await session.api()).send<Key>('POST', IAM, `${account.name}/keys`, { privateKeyType: 'TYPE_GOOGLE_CREDENTIALS_FILE' });
    if (key.privateKeyData === undefined) throw failure('The control plane answered without a private key.');
    const content = Buffer.from(key.privateKeyData, 'base64');
    if (file === '-') session.io.out.write(content.toString('utf8'));
    else writePrivateFile(file, content);
    session.terminal.note(`created key [${idOf(key)}] of type [json] as [${file}] for [${account.key}]`);
  });
}

function registerUpload(keys: CliCommand, shell: Shell): void {
  const upload = ofAccount(
    defineCommand(keys, 'upload <public-key-file>', {
      summary: 'upload the public part of a key that was made elsewhere',
      description: 'Takes an X.509 certificate or a public key in PEM, RSA of at least 2048 bits. A certificate’s end is the end of the key.',
      examples: [`actas iam service-accounts keys upload public.pem ${EXAMPLE}`],
    }),
  );
  onRun<AccountFlags>(upload, shell, async (session, file) => {
    const account = await accountOf(session);
    const publicKeyData = readBytes(file, 'public key').toString('base64');
    const key = await (await session.api()).send<Key>('POST', IAM, `${account.name}/keys:upload`, { publicKeyData });
    session.terminal.note(`uploaded key [${idOf(key)}] for [${account.key}]`);
    await printResource(session.terminal, session.format ?? parseFormat('yaml'), key);
  });
}

interface GetFlags extends AccountFlags {
  readonly outputFile?: string;
  readonly type?: string;
}

function registerReads(keys: CliCommand, shell: Shell): void {
  const list = addListFlags(
    ofAccount(
      defineCommand(keys, 'list', {
        summary: "list an account's keys",
        examples: [`actas iam service-accounts keys list ${EXAMPLE}`, `actas iam service-accounts keys list ${EXAMPLE} --managed-by=user`],
      }),
    ).addOption(new Option('--managed-by <who>', 'whose keys').choices(['user', 'system', 'any']).default('any')),
  );
  onRun<AccountFlags & ListFlags & { readonly managedBy?: string }>(list, shell, async (session) => {
    const account = await accountOf(session);
    const { managedBy = 'any' } = session.flags;
    const keyTypes = managedBy === 'any' ? undefined : `${managedBy.toUpperCase()}_MANAGED`;
    const { keys: found = [] } = await (await session.api()).get<{ keys?: Key[] }>(IAM, `${account.name}/keys`, { keyTypes });
    await showList(session, found, COLUMNS, 'No keys here.');
  });

  const get = ofAccount(
    defineCommand(keys, 'get-public-key <key-id>', {
      summary: 'write the public part of a key to a file',
      examples: [`actas iam service-accounts keys get-public-key KEY_ID ${EXAMPLE} --output-file=public.pem`],
    }),
  )
    .option('--output-file <file>', 'where to write it; without it, it is printed')
    .addOption(new Option('--type <type>', 'pem: an X.509 certificate; raw: the bare public key').choices(['pem', 'raw']).default('pem'));
  onRun<GetFlags>(get, shell, async (session, id) => {
    const account = await accountOf(session);
    const publicKeyType = session.flags.type === 'raw' ? 'TYPE_RAW_PUBLIC_KEY' : 'TYPE_X509_PEM_FILE';
    const key = await (await session.api()).get<Key>(IAM, `${account.name}/keys/${id}`, { publicKeyType });
    const content = Buffer.from(key.publicKeyData ?? '', 'base64');
    const { outputFile } = session.flags;
    if (outputFile === undefined) return session.io.out.write(content.toString('utf8'));
    writePrivateFile(outputFile, content);
    session.terminal.note(`written key [${id}] for [${account.key}] as [${outputFile}]`);
  });
}

function registerChanges(keys: CliCommand, shell: Shell): void {
  const remove = ofAccount(
    defineCommand(keys, 'delete <key-id>', {
      summary: 'delete a key for good',
      description: 'What the key signs is refused from then on. Access tokens that it was exchanged for live on, for an hour at most.',
      examples: [`actas iam service-accounts keys delete KEY_ID ${EXAMPLE}`],
    }),
  );
  onRun<AccountFlags>(remove, shell, async (session, id) => {
    const account = await accountOf(session);
    if (!(await session.terminal.confirm(`You are about to delete key [${id}] for service account [${account.key}]. Continue?`))) return;
    await (await session.api()).send('DELETE', IAM, `${account.name}/keys/${id}`);
    session.terminal.note(`deleted key [${id}] for service account [${account.key}]`);
  });
  for (const { verb, done, summary } of [
    { verb: 'disable', done: 'Disabled', summary: 'disable a key: what it signs is refused until it is enabled' },
    { verb: 'enable', done: 'Enabled', summary: 'enable a key again' },
  ] as const) {
    const command = ofAccount(defineCommand(keys, `${verb} <key-id>`, { summary, examples: [`actas iam service-accounts keys ${verb} KEY_ID ${EXAMPLE}`] }));
    onRun<AccountFlags>(command, shell, async (session, id) => {
      const account = await accountOf(session);
      await (await session.api()).send('POST', IAM, `${account.name}/keys/${id}:${verb}`, {});
      session.terminal.note(`${done} key [${id}] for service account [${account.key}]`);
    });
  }
}
