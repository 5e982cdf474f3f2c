/** The flags that describe one container of a job, and what they change in it. */
import { InvalidArgumentError, Option } from 'commander';
import type { CliCommand } from '../command.ts';
import { failure } from '../failure.ts';
import { collectList, collectPairs } from '../values.ts';
import { scopeByContainer } from './container-scopes.ts';
import { type SecretFlags, secretOptions } from './secret-flags.ts';
import type { Container, EnvVar, Probe } from './shapes.ts';
import { type MountFlags, mountOptions } from './volume-flags.ts';

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
  /** A file of them, before it is read. */
  readonly envVarsFile?: string;
  /** In Kubernetes' units; `0` takes it away. */
  readonly gpu?: string;
  readonly dependsOn?: readonly string[];
  readonly startupProbe?: Probe | 'none';
}

/** Some take something away, which gcloud has for new jobs too. */
function containerOptions(): Option[] {
  return [
    new Option('--image <image>', 'container image to run'),
    new Option('--command <list>', "replaces the image's entrypoint: --command=python,-u; empty: the image's own").argParser(collectList),
    new Option('--args <list>', 'arguments: --args=a,b; --args="^;^a,b;c" chooses another separator; empty: none').argParser(collectList),
    new Option('--workdir <directory>', 'working directory in the container'),
    new Option('--cpu <cpus>', 'CPU limit: 1, 2, 1000m (default: 1)'),
    new Option('--memory <size>', 'memory limit: 512Mi, 2Gi (default: 512Mi)'),
    new Option('--gpu <count>', 'GPUs, 0 or 1; kept in the job, whose tasks fail where there is none to have'),
    new Option('--set-env-vars <pairs>', 'environment, KEY=VALUE,...; replaces all but secrets')
      .argParser(collectPairs)
      .conflicts(['updateEnvVars', 'removeEnvVars', 'clearEnvVars', 'envVarsFile']),
    new Option('--env-vars-file <file>', 'the same from a file: YAML of KEY: "value", or lines of KEY=VALUE where its name ends in .env').conflicts([
      'updateEnvVars',
      'removeEnvVars',
      'clearEnvVars',
    ]),
    new Option('--update-env-vars <pairs>', 'sets these variables, keeps the others').argParser(collectPairs),
    new Option('--remove-env-vars <names>', 'removes these variables').argParser(collectList),
    new Option('--clear-env-vars', 'removes all variables but secrets').conflicts(['updateEnvVars', 'removeEnvVars']),
    ...secretOptions(),
    new Option('--depends-on <names>', 'containers that have to be started before this one; empty: none').argParser(collectList),
    new Option(
      '--startup-probe <pairs>',
      'when the container counts as started: httpGet.port=8080,httpGet.path=/ready,periodSeconds=1; tcpSocket.port, grpc.port; empty: none',
    ).argParser(parseProbe),
    ...mountOptions(),
  ];
}

/** Adds the flags of a container to a command, for one container or behind `--container` for several. */
export function addContainerFlags(command: CliCommand): CliCommand {
  return scopeByContainer(command, containerOptions, 'job flags first');
}

/** The names of the given flags that are about the main container; empty where none is. */
export function givenContainerFlags(flags: object): string[] {
  const names = new Set(containerOptions().map((option) => option.attributeName()));
  return Object.entries(flags).flatMap(([name, value]) => (names.has(name) && value !== undefined ? [name] : []));
}

/** Changes a container in place, but for its mounts and secrets. @throws failure where a variable is a secret */
export function applyContainerFlags(container: Container, flags: ContainerFlags): void {
  if (flags.image !== undefined) container.image = flags.image;
  if (flags.command !== undefined) container.command = [...flags.command];
  if (flags.args !== undefined) container.args = [...flags.args];
  if (flags.workdir !== undefined) container.workingDir = flags.workdir;
  applyLimits(container, flags);
  if (flags.setEnvVars !== undefined || flags.updateEnvVars !== undefined || flags.removeEnvVars !== undefined || flags.clearEnvVars === true)
    container.env = changedEnv(container.env ?? [], flags);
  // gcloud's, which sorts them and drops doubles.
  if (flags.dependsOn !== undefined) container.dependsOn = [...new Set(flags.dependsOn)].toSorted();
  if (flags.startupProbe === 'none') delete container.startupProbe;
  else if (flags.startupProbe !== undefined) container.startupProbe = flags.startupProbe;
}

function applyLimits(container: Container, { cpu, memory, gpu }: ContainerFlags): void {
  if (cpu === undefined && memory === undefined && gpu === undefined) return;
  const { [GPU]: gpuBefore, ...others } = container.resources?.limits ?? {};
  const gpuAfter = gpu === undefined ? gpuBefore : gpu === '0' ? undefined : gpu;
  container.resources = {
    ...container.resources,
    limits: { ...others, ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }), ...(gpuAfter === undefined ? {} : { [GPU]: gpuAfter }) },
  };
}

/** Variables that are secrets have flags of their own; these leave them alone. */
function changedEnv(env: readonly EnvVar[], flags: ContainerFlags): EnvVar[] {
  const removed = new Set(flags.removeEnvVars);
  const clear = flags.setEnvVars !== undefined || flags.clearEnvVars === true;
  const kept = env.filter(({ name = '', valueSource }) => valueSource !== undefined || (!clear && !removed.has(name)));
  for (const [name, value] of [...(flags.setEnvVars ?? []), ...(flags.updateEnvVars ?? [])]) {
    const at = kept.findIndex((variable) => variable.name === name);
    if (kept[at]?.valueSource !== undefined)
      throw failure(`The variable [${name}] is a secret, and cannot get a literal value at once.`, `Remove it first:  --remove-secrets=${name}`);
    if (at === -1) kept.push({ name, value });
    else kept[at] = { name, value };
  }
  return kept;
}

const GPU = 'nvidia.com/gpu';
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
