/** `actas gcloud`: the gcloud of this machine, brought here. */
import type { Command } from 'commander';
import type { Shell } from './command.ts';
import { registerProgram } from './exec.ts';

export function registerGcloud(program: Command, shell: Shell): void {
  registerProgram(program, shell, 'gcloud', {
    summary: "run this machine's gcloud against the control plane",
    description:
      'Runs the gcloud that is on the PATH so that all its calls come here, with a configuration of its own in the data directory. Flags before the first word are of actas (--as, --project, --region), the rest is handed on.',
    examples: ['actas gcloud run jobs list', 'actas gcloud --as=user:dev@example.com run jobs execute hello --wait'],
    missing: 'Install it (https://cloud.google.com/sdk/docs/install), or use the same words without it: actas run jobs list',
  });
}
