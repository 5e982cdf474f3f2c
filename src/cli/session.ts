/**
 * One invocation of one command: its flags, its terminal, and on demand the control plane, the project and the region.
 * Defaults: project from --project, ACTAS_PROJECT, CLOUDSDK_CORE_PROJECT, inside a task its own, else the control plane's;
 * region from --region, ACTAS_REGION, CLOUDSDK_RUN_REGION, inside a task its own, else us-central1.
 */
import { ACTAS, type Api } from './api.ts';
import { failure } from './failure.ts';
import { type Format, parseFormat } from './format.ts';
import { dataDirectory, type Io } from './io.ts';
import { findTarget, type Target, type TargetFlags } from './target.ts';
import { createTerminal, type Terminal } from './terminal.ts';

/** The flags that every command has. */
export interface CommonFlags extends TargetFlags {
  readonly project?: string;
  readonly region?: string;
  readonly format?: string;
  readonly flatten?: readonly string[];
  readonly quiet?: boolean;
}

/** What `GET /actas/v1/status` answers; an older server may leave fields out. */
export interface ServerStatus {
  readonly version?: string;
  readonly project?: string;
  readonly pid?: number;
  readonly url?: string;
  readonly startTime?: string;
  readonly dataDir?: string;
  readonly anonymousAs?: string;
  readonly taskGoogleNames?: string;
  readonly driver?: { readonly name?: string; readonly description?: string; readonly warnings?: readonly string[] };
  readonly runningAttempts?: number;
}

export interface Session<F extends object = object> {
  readonly io: Io;
  readonly terminal: Terminal;
  readonly flags: F & CommonFlags;
  /** What `--format` asks for; undefined: the command's own view for people. */
  readonly format: Format | undefined;
  readonly dataDir: string;
  target(): Promise<Target>;
  api(): Promise<Api>;
  project(): Promise<string>;
  /** @returns `projects/P/locations/R` and its parts */
  location(): Promise<Location>;
  /** A command line to try next, with the flags that chose this target: `actas run jobs execute hello --region=us-east1`. */
  hint(command: string): string;
}

export interface Location {
  readonly project: string;
  readonly region: string;
  readonly parent: string;
}

export const DEFAULT_REGION = 'us-central1';

export function createSession<F extends object>(io: Io, flags: F & CommonFlags): Session<F> {
  const { env } = io;
  const chosen = flags.format === 'default' ? undefined : flags.format;
  const format = chosen === undefined && flags.flatten === undefined ? undefined : parseFormat(chosen ?? 'yaml', flags.flatten);
  const quiet = flags.quiet === true;
  const terminal = createTerminal(io, { quiet });
  let target: Promise<Target> | undefined;
  let project: Promise<string> | undefined;
  let region: Promise<string> | undefined;
  let announced = false;
  const findTargetOnce = (): Promise<Target> => (target ??= findTarget(io, flags));
  const announce = (found: Target, name: string, place?: string): void => {
    if (announced || quiet || format !== undefined) return;
    announced = true;
    const parts = [found.label, `project ${name}`, ...(place === undefined ? [] : [`region ${place}`]), ...(found.principal === undefined ? [] : [`as ${found.principal}`])];
    terminal.note(terminal.style.dim(`actas: ${parts.join(', ')}`));
  };
  const findProject = (): Promise<string> => (project ??= resolveProject(env, flags, findTargetOnce));
  const findRegion = (): Promise<string> => (region ??= resolveRegion(env, flags, findTargetOnce));
  return {
    io,
    terminal,
    flags,
    format,
    dataDir: flags.dataDir ?? dataDirectory(env),
    target: findTargetOnce,
    api: async () => (await findTargetOnce()).api,
    async project() {
      const name = await findProject();
      announce(await findTargetOnce(), name);
      return name;
    },
    async location() {
      const [name, place] = [await findProject(), await findRegion()];
      announce(await findTargetOnce(), name, place);
      return { project: name, region: place, parent: `projects/${name}/locations/${place}` };
    },
    hint(command) {
      const chosen = [
        ['region', flags.region],
        ['project', flags.project],
        ['data-dir', flags.dataDir],
        ['as', flags.as ?? flags.account],
        ['impersonate-service-account', flags.impersonateServiceAccount],
      ].filter(([, value]) => value !== undefined);
      return `actas ${[command, ...chosen.map(([name, value]) => `--${name}=${quoteShell(value ?? '')}`)].join(' ')}`;
    },
  };
}

async function resolveProject(env: Io['env'], flags: CommonFlags, findTargetOnce: () => Promise<Target>): Promise<string> {
  const given = flags.project || env['ACTAS_PROJECT'] || env['CLOUDSDK_CORE_PROJECT'];
  if (given) return given;
  const target = await findTargetOnce();
  if (target.metadata !== undefined) return target.metadata('project/project-id');
  const { project } = await target.api.get<ServerStatus>(ACTAS, 'status');
  if (project === undefined) throw failure('The control plane names no default project.', 'Add --project=PROJECT, or set ACTAS_PROJECT.');
  return project;
}

async function resolveRegion(env: Io['env'], flags: CommonFlags, findTargetOnce: () => Promise<Target>): Promise<string> {
  const given = flags.region || env['ACTAS_REGION'] || env['CLOUDSDK_RUN_REGION'];
  if (given) return given;
  const target = await findTargetOnce();
  if (target.metadata === undefined) return DEFAULT_REGION;
  return (await target.metadata('instance/region')).split('/').at(-1) || DEFAULT_REGION;
}

/** Quotes a word for a POSIX shell where it needs it. */
export function quoteShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
