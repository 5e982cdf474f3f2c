/**
 * The flags that describe one container, and gcloud's way to give them for several: `--container=NAME` begins the flags of that container, and
 * what concerns the whole job stands before the first of them. Without it they are about the job's main container.
 */
import { InvalidArgumentError, Option } from 'commander';
import { CliCommand, COMMON_FLAGS } from '../command.ts';
import { usageFailure } from '../failure.ts';
import { collectList, collectPairs, parseList } from '../values.ts';
import type { Container, EnvVar, Probe, TaskTemplate } from './shapes.ts';
import { applyMountFlags, type MountFlags, mountOptions } from './volume-flags.ts';

export interface ContainerFlags extends MountFlags {
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

/** The flags behind one `--container`. */
export interface ContainerScope {
  readonly name: string;
  readonly flags: ContainerFlags;
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
    ...mountOptions(changes),
  ];
}

/** Adds the flags of a container to a command, and `--container`; what stands behind it is in the flag `containers`. */
export function addContainerFlags(command: CliCommand, changes: boolean): CliCommand {
  const scoped = containerOptions(changes);
  for (const option of scoped) command.addOption(option);
  command.addOption(
    new Option('--container <name>', 'the container that the flags behind it are about, for jobs of several; may be repeated, and stands behind the flags of the job itself'),
  );
  const parseOptions = command.parseOptions.bind(command);
  command.parseOptions = (argv) => {
    const { own, scopes } = splitScopes(argv);
    if (scopes.length === 0) return parseOptions(argv);
    for (const option of scoped)
      if (own.some((word) => word === option.long || word.startsWith(`${option.long}=`)))
        throw usageFailure(`${option.long} is a flag of a container: with --container it must stand behind the one that it is for.`);
    const parsed = scopes.map(({ name, words }) => parseScope(command, name, words, changes));
    command.setOptionValue(
      'containers',
      parsed.map(({ scope }) => scope),
    );
    return parseOptions([...own, ...parsed.flatMap(({ rest }) => rest)]);
  };
  return command;
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
  applyMountFlags(task, container, flags);
}

function changedEnv(env: readonly EnvVar[], flags: ContainerFlags): EnvVar[] {
  const removed = new Set(flags.removeEnvVars);
  const variables = new Map<string, EnvVar>();
  if (flags.setEnvVars === undefined && flags.clearEnvVars !== true)
    for (const variable of env) if (!removed.has(variable.name ?? '')) variables.set(variable.name ?? '', variable);
  for (const [name, value] of [...(flags.setEnvVars ?? []), ...(flags.updateEnvVars ?? [])]) variables.set(name, { name, value });
  return [...variables.values()];
}

interface Scope {
  readonly name: string;
  readonly words: string[];
}

function splitScopes(argv: readonly string[]): { own: string[]; scopes: Scope[] } {
  const own: string[] = [];
  const scopes: Scope[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    const name = word === '--container' ? (argv[(at += 1)] ?? '') : /^--container=(.*)$/s.exec(word)?.[1];
    if (name === undefined) (scopes.at(-1)?.words ?? own).push(word);
    else {
      if (name === '') throw usageFailure('--container needs the name of a container.');
      if (scopes.some((scope) => scope.name === name)) throw usageFailure(`--container=${name} is given twice. Write all flags of a container behind one.`);
      scopes.push({ name, words: [] });
    }
  }
  return { own, scopes };
}

/** @returns with what was no flag of a container: common flags, and arguments of the command */
function parseScope(command: CliCommand, name: string, words: readonly string[], changes: boolean): { scope: ContainerScope; rest: string[] } {
  const parser = new CliCommand(command.name());
  parser.copyInheritedSettings(command);
  parser.exitOverride().helpOption(false).allowExcessArguments();
  for (const option of containerOptions(changes)) parser.addOption(option);
  const rest: string[] = [];
  const mine: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    const [flag = ''] = word.split('=', 1);
    const known = parser.options.find((option) => option.long === flag);
    if (known !== undefined) {
      mine.push(word);
      if (known.required && word === flag && at + 1 < words.length) mine.push(words[(at += 1)] ?? '');
    } else if (flag in COMMON_FLAGS || !flag.startsWith('-')) {
      rest.push(word);
      if (COMMON_FLAGS[flag] === true && word === flag && at + 1 < words.length) rest.push(words[(at += 1)] ?? '');
    } else if (command.options.some((option) => option.long === flag)) throw usageFailure(`${flag} is a flag of the job: it must stand before the first --container.`);
    else mine.push(word);
  }
  parser.action(() => undefined).parse(mine, { from: 'user' });
  return { scope: { name, flags: parser.opts<ContainerFlags>() }, rest };
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
