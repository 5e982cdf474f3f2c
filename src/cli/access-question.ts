/** What `why`, `who-can` and the troubleshooter's commands are asked about: a principal, a resource and a moment as people write them. */
import { Option } from 'commander';
import type { CliCommand } from './command.ts';
import { usageFailure } from './failure.ts';
import type { Session } from './session.ts';
import { collectList } from './values.ts';

export interface ContextFlags {
  readonly time?: string;
  readonly requestHost?: string;
  readonly requestPath?: string;
  readonly modifiedRoles?: readonly string[];
}

/** Flags for what conditions look at. */
export function withContext(command: CliCommand): CliCommand {
  return command
    .option('--time <time>', 'the moment that conditions see, 2026-05-01T00:00:00Z (default: now)')
    .option('--request-host <host>', 'request.host of conditions, where something is invoked')
    .option('--request-path <path>', 'request.path of conditions')
    .addOption(new Option('--modified-roles <roles>', 'where a policy is to be set: the roles that this grants or revokes').argParser(collectList));
}

/** @returns the `context` of a request; undefined where no flag says anything */
export function contextOf({ time, requestHost, requestPath, modifiedRoles }: ContextFlags): object | undefined {
  const context = {
    ...(time === undefined ? {} : { time: parseTime(time) }),
    ...(requestHost === undefined ? {} : { host: requestHost }),
    ...(requestPath === undefined ? {} : { path: requestPath }),
    ...(modifiedRoles === undefined ? {} : { modifiedGrantsByRole: modifiedRoles }),
  };
  return Object.keys(context).length === 0 ? undefined : context;
}

/** @throws usage */
export function parseTime(text: string): string {
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw usageFailure(`'${text}' is not a moment.`, 'Write it as in 2026-05-01T00:00:00Z');
  return new Date(ms).toISOString();
}

/** An address alone is a user's, or a service account's. @throws usage for what is no member of a policy */
export function principalOf(given: string): string {
  if (/^(?:user|serviceAccount|group):[^@\s]+@\S+$|^principal:\/\/\S+$|^all(?:Authenticated)?Users$/.test(given)) return given;
  if (/^[^:@\s/]+@[^:@\s/]+$/.test(given)) return `${/(?:^|[.@])gserviceaccount\.com$/.test(given) ? 'serviceAccount' : 'user'}:${given}`;
  throw usageFailure(
    `'${given}' is not a principal.`,
    'Write an e-mail address, user:EMAIL, serviceAccount:EMAIL, group:EMAIL, principal://..., allUsers or allAuthenticatedUsers.',
  );
}

/** @returns undefined for a short name, which says neither project nor region */
export function fullResourceName(given: string): string | undefined {
  if (given.startsWith('//')) return given;
  if (/^(?:projects|folders|organizations|tagKeys|tagValues)\/[^/]+$/.test(given)) return `//cloudresourcemanager.googleapis.com/${given}`;
  if (/^projects\/[^/]+\/serviceAccounts\/[^/]+$/.test(given)) return `//iam.googleapis.com/${given}`;
  if (/^projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/]+/.test(given)) return `//run.googleapis.com/${given}`;
  if (/^[^/@\s]+@[^/@\s]*gserviceaccount\.com$/.test(given))
    return `//iam.googleapis.com/projects/${/@([^.]+)\.iam\.gserviceaccount\.com$/.exec(given)?.[1] ?? '-'}/serviceAccounts/${given}`;
  return undefined;
}

/** A full name, `projects/x`, a service account's e-mail, or the short name of a job of this project and region. @throws usage */
export async function resourceOf(session: Session, given: string): Promise<string> {
  const full = fullResourceName(given);
  if (full !== undefined) {
    await session.project();
    return full;
  }
  if (!/^[a-z]([a-z0-9-]*[a-z0-9])?$/.test(given))
    throw usageFailure(
      `'${given}' is not the name of a resource.`,
      "Write //HOST/NAME, projects/ID, folders/NUMBER, organizations/NUMBER, a service account's e-mail address, or the short name of a job.",
    );
  const { parent } = await session.location();
  return `//run.googleapis.com/${parent}/jobs/${given}`;
}

/** @throws usage */
export function checkPermission(given: string): string {
  if (!/^[a-z][\w-]*(?:\.[\w-]+)*(?:\/[\w-]+)?(?:\.[\w-]+)+$/i.test(given))
    throw usageFailure(`'${given}' is not a permission.`, 'Write, for example, run.jobs.run or iam.serviceAccounts.actAs');
  return given;
}
