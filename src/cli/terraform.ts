/** `actas terraform`: the terraform of this machine, brought here. */
import type { Command } from 'commander';
import type { Shell } from './command.ts';
import { registerProgram } from './exec.ts';

export function registerTerraform(program: Command, shell: Shell): void {
  registerProgram(program, shell, 'terraform', {
    summary: "run this machine's terraform against the control plane",
    description:
      'Runs the terraform that is on the PATH so that the google provider calls this control plane, with the credentials of the caller. Providers are downloaded as ever, unless the control plane runs with --no-egress.',
    examples: ['actas terraform plan', 'actas terraform --as=user:dev@example.com apply'],
    missing: 'Install it, or run another program that way: actas exec -- tofu plan',
  });
}
