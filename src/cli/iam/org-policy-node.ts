/** The project, folder or organization whose organization policies a command is about. */
import { Option } from 'commander';
import type { CliCommand } from '../command.ts';
import type { Session } from '../session.ts';

export interface NodeFlags {
  readonly folder?: string;
  readonly organization?: string;
}

/** `--project` is a flag of every command: without one of these, the default project is meant. */
export function withNode(command: CliCommand): CliCommand {
  return command
    .addOption(new Option('--folder <id>', 'the folder, instead of the project'))
    .addOption(new Option('--organization <id>', 'the organization, instead of the project').conflicts('folder'));
}

/** @returns `projects/ID`, `folders/N` or `organizations/N` */
export async function nodeOf(session: Session<NodeFlags>): Promise<string> {
  const { folder, organization } = session.flags;
  // Asked in any case, for it announces the control plane that the command goes to.
  const project = await session.project();
  if (folder !== undefined) return `folders/${folder.replace(/^folders\//, '')}`;
  if (organization !== undefined) return `organizations/${organization.replace(/^organizations\//, '')}`;
  return `projects/${project.replace(/^projects\//, '')}`;
}

/** Without its prefix, with which gcloud's commands take it as well. */
export function constraintId(given: string): string {
  return given.replace(/^constraints\//, '');
}
