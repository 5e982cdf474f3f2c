/** The group `auth`: tokens for other clients (curl, Terraform, gcloud). */
import type { Command } from 'commander';
import { defineCommand, defineGroup, onRun, type Shell } from './command.ts';
import { failure } from './failure.ts';
import { printResource } from './format.ts';
import { asPrincipal, findTarget } from './target.ts';

export function registerAuth(program: Command, shell: Shell): void {
  const auth = defineGroup(program, 'auth', 'get tokens');
  const print = defineCommand(auth, 'print-access-token [account]', {
    summary: 'print an access token, for --as another principal',
    description: "Prints the access token that this CLI would use; with --as, one hour's token of that principal, for who holds the owner's token.",
    examples: [
      'actas auth print-access-token',
      'actas auth print-access-token --as=user:alice@example.com',
      'export CLOUDSDK_AUTH_ACCESS_TOKEN=$(actas auth print-access-token --as=user:dev@example.com)',
    ],
  });
  onRun(print, shell, async (session, account) => {
    const target = account === '' ? await session.target() : await findTarget(session.io, { ...session.flags, as: asPrincipal(account) ?? account });
    const token = await target.token();
    if (token === undefined)
      throw failure('There is no token here.', `Set ACTAS_TOKEN, or run this as who started the control plane: its owner's token lies in ${session.dataDir}/owner-token.`);
    if (session.format !== undefined) return printResource(session.terminal, session.format, { token });
    session.terminal.print(token);
  });
}
