/** The flags that describe one container of a job, and what they change in it. */
import { InvalidArgumentError, Option } from 'commander';
import type { CliCommand } from '../command.ts';
import { collectList, collectPairs, parseList } from '../values.ts';
import { scopeByContainer } from './container-scopes.ts';
import { applySecretFlags, type SecretFlags, secretOptions } from './secret-flags.ts';
import type { Container, EnvVar, Probe, TaskTemplate } from './shapes.ts';
import { applyMountFlags, type MountFlags, mountOptions } from './volume-flags.ts';

export interface ContainerFlags extends MountFlags, SecretFlags {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly workdir?: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly setEnvVars?: ReadonlyMap<string, string>;
  readonly updateEnvVars?: ReadonlyMap<string, string>;
  readonly removeEnvVars?: readonly string[];
  readonly clearEnvVars?: boolean;
  readonly dependsOn?: readonly string[];
  readonly startupProbe?: Probe | 'none';
}

/** @param changes whether the job may exist already, so that parts of it can be removed or cleared */
function containerOptions(changes: boolean): Option[] {
  return [
    new Option('--image <image>', 'container image to run'),
    new Option('--command <list>', "replaces the image's entrypoint: --command=python,-u; empty: the image's own").argParser(parseList),
    new Option('--args <list>', 'arguments: --args=a,b; --args="^;^a,b;c" chooses another separator; empty: none').argParser(parseList),
    new Option('--workdir <directory>', 'working directory in the container'),
    new Option('--cpu <cpus>', 'CPU limit: 1, 2, 1000m (default: 1)'),
    new Option('--memory <size>', 'memory limit: 512Mi, 2Gi (default: 512Mi)'),
    new Option('--set-env-vars <pairs>', 'environment, KEY=VALUE,...; replaces all').argParser(collectPairs).conflicts(['updateEnvVars', 'removeEnvVars', 'clearEnvVars']),
    new Option('--update-env-vars <pairs>', 'sets these variables, keeps the others').argParser(collectPairs),
    ...(changes ? [new Option('--remove-env-vars <names>', 'removes these variables').argParser(collectList), new Option('--clear-env-vars', 'removes all variables')] : []),
    new Option('--depends-on <names>', 'containers that have to be started before this one; empty: none').argParser(parseList),
    new Option(
      '--startup-probe <pairs>',
      'when the container counts as started: httpGet.port=8080,httpGet.path=/ready,periodSeconds=1; tcpSocket.port, grpc.port; empty: none',
    ).argParser(parseProbe),
    ...secretOptions(changes),
    ...mountOptions(changes),
  ];
}

/** Adds the flags of a container to a command, for one container or behind `--container` for several. */
export function addContainerFlags(command: CliCommand, changes: boolean): CliCommand {
  return scopeByContainer(command, () => containerOptions(changes), 'job flags first');
}

/** The names of the given flags that are about the main container; empty where none is. */
export function givenContainerFlags(flags: object): string[] {
  const names = new Set(containerOptions(true).map((option) => option.attributeName()));
  return Object.entries(flags).flatMap(([name, value]) => (names.has(name) && value !== undefined ? [name] : []));
}

/** Changes a container in place. @param task whose volumes the container may mount */
export function applyContainerFlags(task: TaskTemplate, container: Container, flags: ContainerFlags): void {
  if (flags.image !== undefined) container.image = flags.image;
  if (flags.command !== undefined) container.command = [...flags.command];
  if (flags.args !== undefined) container.args = [...flags.args];
  if (flags.workdir !== undefined) container.workingDir = flags.workdir;
  const limits = { ...(flags.cpu === undefined ? {} : { cpu: flags.cpu }), ...(flags.memory === undefined ? {} : { memory: flags.memory }) };
  if (Object.keys(limits).length > 0) container.resources = { ...container.resources, limits: { ...container.resources?.limits, ...limits } };
  if (flags.setEnvVars !== undefined || flags.updateEnvVars !== undefined || flags.removeEnvVars !== undefined || flags.clearEnvVars === true)
    container.env = changedEnv(container.env ?? [], flags);
  if (flags.dependsOn !== undefined) container.dependsOn = [...flags.dependsOn];
  if (flags.startupProbe === 'none') delete container.startupProbe;
  else if (flags.startupProbe !== undefined) container.startupProbe = flags.startupProbe;
  applySecretFlags(task, container, flags);
  applyMountFlags(task, container, flags);
}

function changedEnv(env: readonly EnvVar[], flags: ContainerFlags): EnvVar[] {
  const removed = new Set(flags.removeEnvVars);
  const variables = new Map<string, EnvVar>();
  const isReplaced = flags.setEnvVars !== undefined || flags.clearEnvVars === true;
  // Those that come from secrets have flags of their own.
  for (const variable of env) if (variable.valueSource !== undefined || (!isReplaced && !removed.has(variable.name ?? ''))) variables.set(variable.name ?? '', variable);
  for (const [name, value] of [...(flags.setEnvVars ?? []), ...(flags.updateEnvVars ?? [])]) variables.set(name, { name, value });
  return [...variables.values()];
}

const PROBE_NUMBERS = ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'failureThreshold'] as const;

/** @returns `none` for the empty text, which takes the probe away */
function parseProbe(text: string): Probe | 'none' {
  if (text === '') return 'none';
  const probe: Probe = {};
  for (const [key, value] of collectPairs(text, undefined)) {
    const number = PROBE_NUMBERS.find((name) => name === key);
    if (number !== undefined) probe[number] = wholeNumber(key, value);
    else if (key === 'httpGet.port' || key === 'tcpSocket.port' || key === 'grpc.port') {
      const kind = key === 'httpGet.port' ? 'httpGet' : key === 'tcpSocket.port' ? 'tcpSocket' : 'grpc';
      probe[kind] = { ...probe[kind], port: wholeNumber(key, value) };
    } else if (key === 'httpGet.path') probe.httpGet = { ...probe.httpGet, path: value };
    else if (key === 'grpc.service') probe.grpc = { ...probe.grpc, service: value };
    else
      throw new InvalidArgumentError(
        `'${key}' is not supported. Known: ${[...PROBE_NUMBERS, 'httpGet.port', 'httpGet.path', 'grpc.port', 'grpc.service', 'tcpSocket.port'].join(', ')}.`,
      );
  }
  return probe;
}

function wholeNumber(key: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError(`${key} is '${text}', and must be a whole number.`);
  return Number(text);
}
