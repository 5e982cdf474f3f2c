/** `auth application-default`: a credentials file that client libraries find through GOOGLE_APPLICATION_CREDENTIALS. */
import { join } from 'node:path';
import { ACTAS } from './api.ts';
import { type CliCommand, defineCommand, defineGroup, onRun, type Shell } from './command.ts';
import { failure } from './failure.ts';
import { parseChain } from './impersonation.ts';
import { readBytes, removeFile, writePrivateFile } from './private-file.ts';
import { quoteShell, type Session } from './session.ts';
import { asPrincipal, findTarget } from './target.ts';

interface FileFlags {
  readonly file?: string;
}

export function registerApplicationDefault(auth: CliCommand, shell: Shell): void {
  const group = defineGroup(auth, 'application-default', 'a credentials file for client libraries on this machine');
  const login = defineCommand(group, 'login', {
    summary: 'write a credentials file of a user',
    description:
      "Writes a file with a refresh token of the owner, or of --as USER; with --impersonate-service-account libraries call as that account. For who holds the owner's token. gcloud's own file is left alone.",
    examples: [
      'actas auth application-default login --as=user:dev@example.com',
      'actas auth application-default login --impersonate-service-account=hello-sa@demo.iam.gserviceaccount.com',
    ],
  }).option('--file <file>', 'where to write it (default: application_default_credentials.json in the data directory)');
  onRun<FileFlags>(login, shell, async (session) => {
    const file = fileOf(session);
    writePrivateFile(file, `${JSON.stringify(await applicationDefaultCredentials(session), undefined, 2)}\n`);
    session.terminal.note(`Credentials saved to file: [${file}]`);
    session.terminal.print(`export GOOGLE_APPLICATION_CREDENTIALS=${quoteShell(file)}`);
  });

  const revoke = defineCommand(group, 'revoke', {
    summary: 'revoke the refresh token in the credentials file, and remove the file',
    examples: ['actas auth application-default revoke'],
  }).option('--file <file>', 'the file (default: application_default_credentials.json in the data directory)');
  onRun<FileFlags>(revoke, shell, async (session) => {
    const file = fileOf(session);
    const token = /"refresh_token": "([^"]+)"/.exec(readBytes(file, 'credentials file').toString('utf8'))?.[1];
    if (token === undefined) throw failure(`${file} holds no refresh token.`);
    await (await session.api()).send('POST', 'oauth2.googleapis.com', 'revoke', { token });
    removeFile(file);
    session.terminal.note('Credentials revoked.');
  });
}

function fileOf(session: Session<FileFlags>): string {
  return session.flags.file ?? join(session.dataDir, 'application_default_credentials.json');
}

/** What a credentials file of the caller holds. @throws CliFailure where the control plane issues no refresh token */
export async function applicationDefaultCredentials(session: Session): Promise<object> {
  const { impersonateServiceAccount, as, account, ...flags } = session.flags;
  const target = await findTarget(session.io, flags);
  const principal = asPrincipal(as ?? account) ?? (await target.api.get<{ principal?: string }>(ACTAS, 'status')).principal;
  const { refreshToken } = await target.api.send<{ refreshToken?: string }>('POST', ACTAS, 'tokens:issue', { principal, withRefreshToken: true });
  if (refreshToken === undefined || principal === undefined) throw failure('The control plane issued no refresh token.');
  const user = {
    type: 'authorized_user',
    client_id: 'actas',
    client_secret: 'notasecret',
    refresh_token: refreshToken,
    token_uri: `${target.url}/oauth2.googleapis.com/token`,
    account: principal.slice(principal.indexOf(':') + 1),
    universe_domain: 'googleapis.com',
  };
  if (impersonateServiceAccount === undefined) return user;
  const chain = parseChain(impersonateServiceAccount);
  return {
    type: 'impersonated_service_account',
    service_account_impersonation_url: `${target.url}/iamcredentials.googleapis.com/v1/${chain.name}:generateAccessToken`,
    delegates: chain.delegates,
    source_credentials: user,
  };
}
