/** How a role is named on a command line: a predefined one by `roles/ID`, a custom one by its id and where it is. */
import { Option } from 'commander';
import type { CliCommand } from '../command.ts';
import { usageFailure } from '../failure.ts';
import type { Session } from '../session.ts';

export interface RolePlace {
  readonly organization?: string;
}

export function withOrganization(command: CliCommand): CliCommand {
  return command.addOption(new Option('--organization <number>', 'the organization that has the role; without it, the project'));
}

/** `projects/P` or `organizations/N`. @throws usage where both are named */
export async function roleParent(session: Session<RolePlace>): Promise<string> {
  const { organization, project } = session.flags;
  if (organization !== undefined && project !== undefined) throw usageFailure('A role is in a project or in an organization: give --project or --organization, not both.');
  const named = await session.project();
  return organization === undefined ? `projects/${named}` : `organizations/${organization.replace(/^organizations\//, '')}`;
}

/** The full name of a role that is given by id, or by name. */
export async function roleName(session: Session<RolePlace>, given: string): Promise<string> {
  if (/^(?:roles|(?:projects|organizations)\/[^/]+\/roles)\/[^/]+$/.test(given)) {
    await session.project();
    return given;
  }
  if (given.includes('/'))
    throw usageFailure(
      `'${given}' is not a role.`,
      'Write its id with --project or --organization, or a full name: roles/ID, projects/PROJECT/roles/ID, organizations/NUMBER/roles/ID.',
    );
  return `${await roleParent(session)}/roles/${given}`;
}
