/** The flags that describe a job, shared by `create`, `update` and `deploy`, and what they change in the job. */
import { Option } from 'commander';
import type { CliCommand } from '../command.ts';
import { failure, usageFailure } from '../failure.ts';
import { collectList, collectPairs, integerBetween, parseDuration } from '../values.ts';
import { addConnectionFlags, applyCloudSqlFlags, applyNetworkFlags, type ConnectionFlags, mountCloudSql } from './connection-flags.ts';
import { addContainerFlags, applyContainerFlags, type ContainerFlags, givenContainerFlags } from './container-flags.ts';
import type { ContainerScope } from './container-scopes.ts';
import { addPlatformFlags, applyPlatformFlags, type PlatformFlags } from './platform-flags.ts';
import { applySecretFlags } from './secret-flags.ts';
import type { Container, Job, TaskTemplate } from './shapes.ts';
import { addMounts, addVolumeFlags, addVolumes, dropMounts, removeMounts, removeVolumes, type VolumeFlags } from './volume-flags.ts';

export interface JobFlags extends VolumeFlags, ContainerFlags, ConnectionFlags, PlatformFlags {
  readonly tasks?: number;
  readonly parallelism?: number;
  readonly maxRetries?: number;
  /** Seconds. */
  readonly taskTimeout?: number;
  readonly serviceAccount?: string;
  readonly labels?: ReadonlyMap<string, string>;
  readonly updateLabels?: ReadonlyMap<string, string>;
  readonly removeLabels?: readonly string[];
  readonly clearLabels?: boolean;
  /** Each with the flags behind it. */
  readonly containers?: readonly ContainerScope<ContainerFlags>[];
  readonly removeContainers?: readonly string[];
  readonly executeNow?: boolean;
  readonly wait?: boolean;
  readonly async?: boolean;
  readonly logs?: boolean;
}

const NONCE = 'client.knative.dev/nonce';
const MOST_TASKS = 10_000;
const MOST_RETRIES = 10;

const SOURCE = 'nothing is built here. Build an image with docker build, and name it by --image.';
const ALPHA = "the API's published form has no field for it.";

/** What `gcloud run jobs create|update|deploy` take and the API has no place for. */
export const REFUSED: Readonly<Record<string, string>> = {
  '--source': SOURCE,
  '--function': SOURCE,
  '--no-build': SOURCE,
  '--runtime': SOURCE,
  '--update-annotations': 'gcloud takes it for jobs and does nothing with it. Annotations are set by run jobs replace.',
  '--sandbox-launcher': ALPHA,
  '--delay-execution': ALPHA,
  '--functional-type': ALPHA,
  '--identity-certificate': ALPHA,
  '--identity-type': ALPHA,
  '--endpoint-mode': 'it says by which of its hosts gcloud calls Google. Say which control plane by ACTAS_URL.',
};

/** @param changes whether the job may exist already, so that parts of it can be updated, removed or cleared */
export function addJobFlags(command: CliCommand, changes: boolean): CliCommand {
  addContainerFlags(command)
    .option('--tasks <count>', 'tasks in one execution (default: 1)', integerBetween(1, MOST_TASKS))
    .option('--parallelism <count>', 'tasks at the same time; 0: as many as possible', integerBetween(0, MOST_TASKS))
    .option('--max-retries <count>', 'retries of a failed task (default: 3)', integerBetween(0, MOST_RETRIES))
    .option('--task-timeout <duration>', 'longest time for one attempt of a task: 600, 10m, 1h30m (default: 10m)', parseDuration)
    .option('--service-account <email>', "the job's identity; a name alone means an account of this project (default: the project's default account)")
    .addOption(new Option('--labels <pairs>', 'sets these labels, KEY=VALUE,..., keeps the others').argParser(collectPairs));
  if (changes)
    command
      .addOption(new Option('--update-labels <pairs>', 'the same').argParser(collectPairs).conflicts('labels'))
      .addOption(new Option('--remove-labels <names>', 'removes these labels').argParser(collectList).conflicts('clearLabels'))
      .addOption(new Option('--clear-labels', 'removes all labels; those of --update-labels come after'))
      .addOption(new Option('--remove-containers <names>', 'removes these containers, and what other containers depended on them').argParser(collectList));
  command.refusedFlags = REFUSED;
  addPlatformFlags(addConnectionFlags(addVolumeFlags(command), changes), changes);
  return command
    .option('--execute-now', 'execute the job when it is ready')
    .addOption(new Option('--wait', 'wait until that execution has ended, and exit with its outcome; implies --execute-now').conflicts('async'))
    .addOption(new Option('--logs', 'with --wait: print the logs as they come'))
    .addOption(new Option('--async', 'return when the request is accepted').conflicts('executeNow'));
}

/** Where the job is: for the short names of other things. */
interface Place {
  readonly project: string;
  readonly region: string;
}

/** Changes a job in place as the flags say, in the order in which gcloud does. @throws failure where a flag contradicts the job */
export function applyJobFlags(job: Job, flags: JobFlags, place: Place): void {
  const template = (job.template ??= {});
  const task = (template.template ??= {});
  if (flags.tasks !== undefined) template.taskCount = flags.tasks;
  if (flags.parallelism !== undefined) template.parallelism = flags.parallelism;
  if (flags.maxRetries !== undefined) task.maxRetries = flags.maxRetries;
  if (flags.taskTimeout !== undefined) task.timeout = `${flags.taskTimeout}s`;
  if (flags.serviceAccount !== undefined) task.serviceAccount = accountEmail(flags.serviceAccount, place.project);
  applyToContainers(task, flags, place);
  applyNetworkFlags(task, flags, place);
  applyPlatformFlags(job, task, flags);
  if (flags.labels === undefined && flags.updateLabels === undefined && flags.removeLabels === undefined && flags.clearLabels !== true) return;
  // An execution has the labels of its job, as gcloud has it, and keeps the mark that gcloud leaves on the template.
  const { [NONCE]: nonce } = template.labels ?? {};
  job.labels = changedLabels(job.labels ?? {}, flags);
  template.labels = { ...job.labels, ...(nonce === undefined ? {} : { [NONCE]: nonce }) };
}

/** First what goes, then what each `--container` says, or the flags of the main one. */
function applyToContainers(task: TaskTemplate, flags: JobFlags, place: Place): void {
  removeContainers(task, flags.removeContainers ?? []);
  const containers = (task.containers ??= []);
  const volumesBefore = (task.volumes ?? []).map(({ name }) => name);
  removeVolumes(task, flags);
  if (flags.containers === undefined) {
    const main = containers.length === 0 || givenContainerFlags(flags).length > 0 ? mainContainer(containers) : undefined;
    if (main !== undefined) applyContainerFlags(main, flags);
    applyCloudSqlFlags(task, flags, place);
    if (main !== undefined) {
      removeMounts(main, flags);
      applySecretFlags(task, main, flags);
    }
    addVolumes(task, flags);
    if (main !== undefined) addMounts(task, main, flags);
  } else {
    addVolumes(task, flags);
    for (const scope of flags.containers) applyScope(task, containers, scope);
    applyCloudSqlFlags(task, flags, place);
  }
  dropMounts(task, volumesBefore);
  if (isWithoutGpu(flags)) delete task.nodeSelector;
}

function applyScope(task: TaskTemplate, containers: Container[], { name, flags }: ContainerScope<ContainerFlags>): void {
  let container = containers.find((candidate) => candidate.name === name);
  if (container === undefined) {
    if (flags.image === undefined) throw failure(`The job has no container [${name}], and a new one needs --image behind --container=${name}.`);
    container = { name };
    mountCloudSql(task, container);
    containers.push(container);
  }
  applyContainerFlags(container, flags);
  removeMounts(container, flags);
  applySecretFlags(task, container, flags);
  addMounts(task, container, flags);
}

/** Names that are not there are passed over, as gcloud does, so that a script can run twice. */
function removeContainers(task: TaskTemplate, names: readonly string[]): void {
  if (names.length === 0) return;
  const removed = new Set<string | undefined>(names);
  task.containers = (task.containers ?? []).filter((container) => !removed.has(container.name));
  for (const container of task.containers) if (container.dependsOn !== undefined) container.dependsOn = container.dependsOn.filter((name) => !removed.has(name));
}

/** Without its GPU a job needs no kind of GPU. */
function isWithoutGpu({ gpu, containers = [] }: JobFlags): boolean {
  return gpu === '0' || containers.some(({ flags }) => flags.gpu === '0');
}

/** The container that flags without `--container` are about: the only one, or the one without a dependent, which gcloud calls the main one. */
function mainContainer(containers: Container[]): Container {
  if (containers.length === 0) containers.push({});
  const needed = new Set(containers.flatMap((container) => container.dependsOn ?? []));
  const [first, ...others] = containers.filter((container) => !needed.has(container.name ?? ''));
  if (first === undefined || others.length > 0)
    throw usageFailure('The job has several containers. Say which one the flags are about:', `  --container=${containers[0]?.name ?? 'NAME'} ...`);
  return first;
}

function changedLabels(labels: Readonly<Record<string, string>>, flags: JobFlags): Record<string, string> {
  const removed = new Set(flags.removeLabels);
  const kept = flags.clearLabels === true ? [] : Object.entries(labels);
  return Object.fromEntries([...kept, ...(flags.labels ?? []), ...(flags.updateLabels ?? [])].filter(([key]) => !removed.has(key)));
}

/** `hello-sa` is `hello-sa@PROJECT.iam.gserviceaccount.com`. */
export function accountEmail(given: string, project: string): string {
  return given === '' || given.includes('@') ? given : `${given}@${project}.iam.gserviceaccount.com`;
}
