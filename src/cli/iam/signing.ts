/** `iam service-accounts sign-blob` and `sign-jwt`. Clients of google.iam.credentials.v1, as in gcloud. */
import { CREDENTIALS } from '../api.ts';
import { type CliCommand, defineCommand, onRun, requiredFlag, type Shell } from '../command.ts';
import { failure } from '../failure.ts';
import { readBytes, writePrivateFile } from '../private-file.ts';
import type { Session } from '../session.ts';
import { accountName } from './account-name.ts';

interface AccountFlags {
  readonly iamAccount?: string;
}

export function registerSigning(accounts: CliCommand, shell: Shell): void {
  const blob = defineCommand(accounts, 'sign-blob <input-file> <output-file>', {
    summary: "sign a file with an account's system-managed key",
    examples: ['actas iam service-accounts sign-blob input.bin signature.bin --iam-account=hello-sa@demo.iam.gserviceaccount.com'],
  }).option('--iam-account <email>', 'the account that signs');
  onRun<AccountFlags>(blob, shell, async (session, input, output) => {
    const name = await signerOf(session);
    const payload = readBytes(input, 'file').toString('base64');
    const answer = await (await session.api()).send<{ keyId?: string; signedBlob?: string }>('POST', CREDENTIALS, `${name}:signBlob`, { payload });
    await finish(session, output, answer.keyId, answer.signedBlob === undefined ? undefined : Buffer.from(answer.signedBlob, 'base64'), 'blob', input);
  });
  const jwt = defineCommand(accounts, 'sign-jwt <input-file> <output-file>', {
    summary: "sign a file of JWT claims with an account's system-managed key",
    examples: ['actas iam service-accounts sign-jwt claims.json token.jwt --iam-account=hello-sa@demo.iam.gserviceaccount.com'],
  }).option('--iam-account <email>', 'the account that signs');
  onRun<AccountFlags>(jwt, shell, async (session, input, output) => {
    const name = await signerOf(session);
    const payload = readBytes(input, 'file of claims').toString('utf8');
    const answer = await (await session.api()).send<{ keyId?: string; signedJwt?: string }>('POST', CREDENTIALS, `${name}:signJwt`, { payload });
    await finish(session, output, answer.keyId, answer.signedJwt === undefined ? undefined : Buffer.from(answer.signedJwt), 'jwt', input);
  });
}

/** That API knows accounts under the wildcard alone. */
async function signerOf(session: Session<AccountFlags>): Promise<string> {
  const { key } = await accountName(session, requiredFlag(session.flags.iamAccount, '--iam-account'));
  return `projects/-/serviceAccounts/${key}`;
}

async function finish(session: Session<AccountFlags>, output: string, keyId: string | undefined, content: Buffer | undefined, what: string, input: string): Promise<void> {
  if (content === undefined) throw failure('The control plane answered without a signature.');
  if (output === '-') session.terminal.print(what === 'jwt' ? content.toString('utf8') : content.toString('base64'));
  else writePrivateFile(output, content);
  session.terminal.note(`signed ${what} [${input}] as [${output}] for [${session.flags.iamAccount ?? ''}] using key [${keyId ?? ''}]`);
}
