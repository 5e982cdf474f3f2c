/** The flags that describe a job, shared by `create`, `update` and `deploy`, and what they change in the job. */
import { Option } from 'commander';
import type { CliCommand } from '../command.ts';
import { failure, usageFailure } from '../failure.ts';
import { collectList, collectPairs, integerBetween, parseDuration } from '../values.ts';
import { addContainerFlags, applyContainerFlags, type ContainerFlags, givenContainerFlags } from './container-flags.ts';
import type { ContainerScope } from './container-scopes.ts';
import type { Container, Job, TaskTemplate } from './shapes.ts';
import { addVolumeFlags, applyVolumeFlags, type VolumeFlags } from './volume-flags.ts';

export interface JobFlags extends VolumeFlags, ContainerFlags {
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

const MOST_TASKS = 10_000;
const MOST_RETRIES = 10;

const OTHER_VOLUMES = 'only volumes in memory are, by --add-volume=name=NAME,type=in-memory.';
const NO_NETWORK = 'tasks have one network here. Leave it out; it makes no difference to the program.';
const SOURCE = 'build an image with docker build, and name it by --image.';

/** What `gcloud run jobs create|update|deploy` take beside our flags. */
const REFUSED: Readonly<Record<string, string>> = {
  '--set-cloudsql-instances': OTHER_VOLUMES,
  '--add-cloudsql-instances': OTHER_VOLUMES,
  '--vpc-connector': NO_NETWORK,
  '--vpc-egress': NO_NETWORK,
  '--network': NO_NETWORK,
  '--subnet': NO_NETWORK,
  '--network-tags': NO_NETWORK,
  '--gpu': 'tasks get no GPU here.',
  '--gpu-type': 'tasks get no GPU here.',
  '--key': 'nothing is encrypted with a key of yours here.',
  '--binary-authorization': 'images are not checked by Binary Authorization here.',
  '--env-vars-file': 'name the variables by --set-env-vars.',
  '--source': SOURCE,
  '--function': SOURCE,
};

/** @param changes whether the job may exist already, so that parts of it can be updated, removed or cleared */
export function addJobFlags(command: CliCommand, changes: boolean): CliCommand {
  addContainerFlags(command, changes)
    .option('--tasks <count>', 'tasks in one execution (default: 1)', integerBetween(1, MOST_TASKS))
    .option('--parallelism <count>', 'tasks at the same time; 0: as many as possible', integerBetween(0, MOST_TASKS))
    .option('--max-retries <count>', 'retries of a failed task (default: 3)', integerBetween(0, MOST_RETRIES))
    .option('--task-timeout <duration>', 'longest time for one attempt of a task: 600, 10m, 1h30m (default: 10m)', parseDuration)
    .option('--service-account <email>', "the job's identity; a name alone means an account of this project (default: the project's default account)")
    .addOption(new Option('--labels <pairs>', 'labels, KEY=VALUE,...; replaces all').argParser(collectPairs));
  if (changes)
    command
      .addOption(new Option('--update-labels <pairs>', 'sets these labels, keeps the others').argParser(collectPairs).conflicts('labels'))
      .addOption(new Option('--remove-labels <names>', 'removes these labels').argParser(collectList).conflicts(['labels', 'clearLabels']))
      .addOption(new Option('--clear-labels', 'removes all labels').conflicts('labels'))
      .addOption(new Option('--remove-containers <names>', 'removes these containers').argParser(collectList));
  command.refusedFlags = REFUSED;
  return addVolumeFlags(command, changes)
    .option('--execute-now', 'execute the job when it is ready')
    .addOption(new Option('--wait', 'wait until that execution has ended, and exit with its outcome; implies --execute-now').conflicts('async'))
    .addOption(new Option('--logs', 'with --wait: print the logs as they come'))
    .addOption(new Option('--async', 'return when the request is accepted').conflicts('executeNow'));
}

/** Changes a job in place as the flags say. @param project for a service account's short name */
export function applyJobFlags(job: Job, flags: JobFlags, project: string): void {
  const template = (job.template ??= {});
  const task = (template.template ??= {});
  if (flags.tasks !== undefined) template.taskCount = flags.tasks;
  if (flags.parallelism !== undefined) template.parallelism = flags.parallelism;
  if (flags.maxRetries !== undefined) task.maxRetries = flags.maxRetries;
  if (flags.taskTimeout !== undefined) task.timeout = `${flags.taskTimeout}s`;
  if (flags.serviceAccount !== undefined) task.serviceAccount = accountEmail(flags.serviceAccount, project);
  applyVolumeFlags(task, flags);
  applyToContainers(task, flags);
  if (flags.labels !== undefined || flags.updateLabels !== undefined || flags.removeLabels !== undefined || flags.clearLabels === true) {
    job.labels = changedLabels(job.labels ?? {}, flags);
    template.labels = changedLabels(template.labels ?? {}, flags);
  }
}

/** First what goes, then what each `--container` says, or the flags of the main one. */
function applyToContainers(task: TaskTemplate, flags: JobFlags): void {
  const containers = (task.containers ??= []);
  const removed = new Set(flags.removeContainers);
  for (const name of removed) if (!containers.some((container) => container.name === name)) throw failure(`The job has no container [${name}] to remove.`);
  const kept = containers.filter((container) => !removed.has(container.name ?? ''));
  for (const container of kept) if (removed.size > 0 && container.dependsOn !== undefined) container.dependsOn = container.dependsOn.filter((name) => !removed.has(name));
  for (const { name, flags: own } of flags.containers ?? []) {
    let container = kept.find((candidate) => candidate.name === name);
    if (container === undefined) {
      if (own.image === undefined) throw failure(`The job has no container [${name}], and a new one needs --image behind --container=${name}.`);
      container = { name };
      kept.push(container);
    }
    applyContainerFlags(task, container, own);
  }
  task.containers = kept;
  if (flags.containers === undefined && (kept.length === 0 || givenContainerFlags(flags).length > 0)) applyContainerFlags(task, mainContainer(kept), flags);
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
  const kept = flags.labels !== undefined || flags.clearLabels === true ? [] : Object.entries(labels).filter(([key]) => !removed.has(key));
  return Object.fromEntries([...kept, ...(flags.labels ?? []), ...(flags.updateLabels ?? [])]);
}

/** `hello-sa` is `hello-sa@PROJECT.iam.gserviceaccount.com`. */
export function accountEmail(given: string, project: string): string {
  return given === '' || given.includes('@') ? given : `${given}@${project}.iam.gserviceaccount.com`;
}
