/** The group `auth`: tokens for other clients (curl, Terraform, gcloud), and which account the commands speak as. */
import type { Command } from 'commander';
import { createApi } from './api.ts';
import { registerApplicationDefault } from './application-default.ts';
import { type CliCommand, defineCommand, defineGroup, onRun, requiredFlag, type Shell } from './command.ts';
import { failure, usageFailure } from './failure.ts';
import { printResource } from './format.ts';
import { impersonateForIdToken, parseChain, SCOPES } from './impersonation.ts';
import { exchangeForAccessToken, exchangeForIdToken, parseKeyFile, readActiveAccount, removeActiveAccount, writeActiveAccount } from './key-file.ts';
import { readBytes } from './private-file.ts';
import type { Session } from './session.ts';
import { asPrincipal, findTarget, type Target } from './target.ts';

interface IdentityFlags {
  readonly audiences?: string;
  readonly includeEmail?: boolean;
}

export function registerAuth(program: Command, shell: Shell): void {
  const auth = defineGroup(program, 'auth', 'get tokens, and choose who calls');
  registerAccessToken(auth, shell);
  registerIdentityToken(auth, shell);
  registerAccounts(auth, shell);
  registerApplicationDefault(auth, shell);
}

function registerAccessToken(auth: CliCommand, shell: Shell): void {
  const print = defineCommand(auth, 'print-access-token [account]', {
    summary: 'print an access token, for --as another principal',
    description:
      "Prints the access token that this CLI would use; with --as, one hour's token of that principal, for who holds the owner's token; with --impersonate-service-account one of that account, for who may have it.",
    examples: [
      'actas auth print-access-token',
      'actas auth print-access-token --as=user:alice@example.com',
      'actas auth print-access-token --impersonate-service-account=hello-sa@demo.iam.gserviceaccount.com',
      'export CLOUDSDK_AUTH_ACCESS_TOKEN=$(actas auth print-access-token --as=user:dev@example.com)',
    ],
  });
  onRun(print, shell, async (session, account) => {
    const token = await (await targetOf(session, account)).token();
    if (token === undefined)
      throw failure('There is no token here.', `Set ACTAS_TOKEN, or run this as who started the control plane: its owner's token lies in ${session.dataDir}/owner-token.`);
    if (session.format !== undefined) return printResource(session.terminal, session.format, { token });
    session.terminal.print(token);
  });
}

function targetOf(session: Session, account: string): Promise<Target> {
  return account === '' ? session.target() : findTarget(session.io, { ...session.flags, as: asPrincipal(account) ?? account });
}

function registerIdentityToken(auth: CliCommand, shell: Shell): void {
  const print = defineCommand(auth, 'print-identity-token', {
    summary: 'print an ID token of a service account, for an audience',
    description:
      'Prints a JWT that says who a service account is, signed with the keys at /oauth2/v3/certs: of the account of --impersonate-service-account, of the one that was activated, or inside a task of its own.',
    examples: [
      'actas auth print-identity-token --audiences=https://service.example --impersonate-service-account=hello-sa@demo.iam.gserviceaccount.com',
      'actas auth print-identity-token --audiences=https://service.example',
    ],
  })
    .option('--audiences <audience>', 'for whom the token is')
    .option('--include-email', "add the account's e-mail address (with --impersonate-service-account; otherwise it is always there)");
  onRun<IdentityFlags>(print, shell, async (session) => {
    const token = await identityToken(session, requiredFlag(session.flags.audiences, '--audiences'));
    if (session.format !== undefined) return printResource(session.terminal, session.format, { id_token: token });
    session.terminal.print(token);
  });
}

async function identityToken(session: Session<IdentityFlags>, audience: string): Promise<string> {
  const { impersonateServiceAccount, includeEmail = false, ...flags } = session.flags;
  if (impersonateServiceAccount !== undefined) {
    const own = await findTarget(session.io, flags);
    return impersonateForIdToken(own.api, parseChain(impersonateServiceAccount), { audience, includeEmail });
  }
  const target = await session.target();
  if (target.metadata !== undefined) return target.metadata(`instance/service-accounts/default/identity?audience=${encodeURIComponent(audience)}`);
  const active = target.account;
  if (active === undefined)
    throw failure(
      'No ID token can be had with the credentials of now: only service accounts have one.',
      'Add --impersonate-service-account=EMAIL, or activate an account: actas auth activate-service-account --key-file=FILE',
    );
  return exchangeForIdToken(target.api, active, audience);
}

function registerAccounts(auth: CliCommand, shell: Shell): void {
  const activate = defineCommand(auth, 'activate-service-account [account]', {
    summary: 'let commands speak as the service account of a key file',
    description:
      'Keeps the key file beside the data directory (mode 0600); from then on every command without --as speaks as that account, until `actas auth revoke`. ACTAS_TOKEN still comes first.',
    examples: ['actas auth activate-service-account --key-file=key.json', 'actas auth activate-service-account hello-sa@demo.iam.gserviceaccount.com --key-file=key.json'],
  }).option('--key-file <file>', "the account's key file");
  onRun<{ readonly keyFile?: string }>(activate, shell, async (session, account) => {
    const file = requiredFlag(session.flags.keyFile, '--key-file');
    const text = readBytes(file, 'key file').toString('utf8');
    const key = parseKeyFile(text, file);
    if (account !== '' && account !== key.email) throw usageFailure(`${file} is the key of ${key.email}, not of ${account}.`);
    // A key that is not good is not kept; the one of before, which may be so by now, is not asked for a token.
    const { url } = await session.target();
    await exchangeForAccessToken(createApi({ url, token: async () => undefined, whenDown: [] }), key, SCOPES);
    writeActiveAccount(session.dataDir, text);
    session.terminal.note(`Activated service account credentials for: [${key.email}]`);
  });

  const list = defineCommand(auth, 'list', { summary: 'show who commands speak as', examples: ['actas auth list'] });
  onRun(list, shell, async (session) => {
    const target = await session.target();
    const { principal: account = '' } = await target.api.get<{ principal?: string }>('actas/v1', 'status');
    if (session.format !== undefined) return printResource(session.terminal, session.format, { account, status: 'ACTIVE' });
    session.terminal.print(account);
  });

  const revoke = defineCommand(auth, 'revoke', {
    summary: 'forget the activated service account; commands speak as the owner again',
    description: 'Removes the kept key file. The key itself stays good: delete it with `actas iam service-accounts keys delete`.',
    examples: ['actas auth revoke'],
  });
  onRun(revoke, shell, async (session) => {
    const email = readActiveAccount(session.dataDir)?.email;
    if (!removeActiveAccount(session.dataDir)) throw failure('No service account is activated here.');
    session.terminal.note(`Revoked credentials: ${email ?? ''}`);
  });
}
