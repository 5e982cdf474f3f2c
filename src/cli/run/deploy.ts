/** `run jobs create`, `update` and `deploy`: the same flags, three rules for whether the job may or must exist. */

import { version } from '../../version.ts';
import { type Api, type Operation, RUN } from '../api.ts';
import { type CliCommand, defineCommand, onRun, requiredFlag, type Shell, withRegion } from '../command.ts';
import { ApiFailure, type CliFailure, EXIT, type ExitCode, failure, isApiFailure, OperationFailure } from '../failure.ts';
import type { Session } from '../session.ts';
import { withEnvFiles } from './env-file.ts';
import { execute } from './execute.ts';
import { addJobFlags, applyJobFlags, type JobFlags } from './job-flags.ts';
import { type JobName, jobName } from './names.ts';
import type { Job } from './shapes.ts';
import { printRunResource } from './v1-view.ts';

type Verb = 'create' | 'update' | 'deploy';

const WORDS: Readonly<Record<Verb, { readonly doing: string; readonly stage: string; readonly done: string; readonly later: string }>> = {
  create: { doing: 'Creating', stage: 'Creating job...', done: 'created', later: 'created' },
  update: { doing: 'Updating', stage: 'Updating job...', done: 'updated', later: 'updated' },
  deploy: { doing: 'Deploying container to', stage: 'Deploying job...', done: 'deployed', later: 'deployed' },
};

export function registerDeploy(jobs: CliCommand, shell: Shell): void {
  const create = defineCommand(jobs, 'create <job>', {
    summary: 'create a job',
    description: 'Creates a job. The caller needs run.jobs.create, and iam.serviceAccounts.actAs on the service account that the job runs as.',
    examples: [
      'actas run jobs create hello --image=busybox --command=echo --args=hi',
      'actas run jobs create pair --container=app --image=app:v1 --depends-on=proxy --container=proxy --image=proxy:v1 --startup-probe=tcpSocket.port=5432',
      'actas run jobs create nightly --image=report:v3 --service-account=report-sa --tasks=10 --parallelism=2 --task-timeout=1h',
    ],
  });
  const update = defineCommand(jobs, 'update <job>', {
    summary: 'change a job; what no flag names stays',
    description: 'Changes a job; what no flag names stays. The caller needs run.jobs.get, run.jobs.update, and iam.serviceAccounts.actAs on its service account.',
    examples: ['actas run jobs update hello --update-env-vars=GREETING=hi', 'actas run jobs update hello --service-account=hello-sa --max-retries=0'],
  });
  const deploy = defineCommand(jobs, 'deploy <job>', {
    summary: 'create a job, or change it where it exists',
    description: 'Creates a job, or changes it where it exists; what no flag names stays.',
    examples: ['actas run jobs deploy hello --image=hello:latest --service-account=hello-sa', 'actas run jobs deploy hello --image=hello:latest --execute-now --wait --logs'],
  });
  for (const [verb, command] of [
    ['create', create],
    ['update', update],
    ['deploy', deploy],
  ] as const) {
    addJobFlags(withRegion(command), verb !== 'create');
    onRun<JobFlags>(command, shell, (session, given) => deployJob(session, verb, given));
  }
}

async function deployJob(session: Session<JobFlags>, verb: Verb, given: string): Promise<ExitCode> {
  const { terminal, flags } = session;
  if (verb === 'create' && flags.containers === undefined) requiredFlag(flags.image, '--image <image>');
  const target = await jobName(session, given);
  const api = await session.api();
  const words = WORDS[verb];
  terminal.note(`${words.doing} job [${target.job}] in project [${target.project}] region [${target.region}]`);
  const stages = terminal.stages();
  await stages.start(words.stage);
  let job: Job;
  try {
    const operation = await request(api, verb, target, await withEnvFiles(session, flags));
    if (flags.async === true) {
      stages.done();
      terminal.note(`Job [${target.job}] is being ${words.later} asynchronously.`);
      if (session.format !== undefined) await printRunResource(session, session.format, operation.metadata ?? {});
      return EXIT.ok;
    }
    job = await finished(session, api, operation, target);
  } catch (error) {
    stages.fail();
    throw explained(error, session, verb, target);
  }
  const message = job.terminalCondition?.state === 'CONDITION_FAILED' ? (job.terminalCondition.message ?? 'The job is not ready.') : undefined;
  if (message === undefined) stages.done();
  else stages.fail();
  if (session.format !== undefined) await printRunResource(session, session.format, job);
  if (message !== undefined) throw notReady(message, session, target);
  terminal.note(`Job [${target.job}] has successfully been ${words.done}.`);
  if (flags.executeNow === true || flags.wait === true) return execute({ ...session, format: undefined }, target.name, undefined, flags);
  terminal.note(`\nTo execute this job, use:\n  ${session.hint(`run jobs execute ${target.job} --wait --logs`)}`);
  return EXIT.ok;
}

async function request(api: Api, verb: Verb, target: JobName, flags: JobFlags): Promise<Operation> {
  const before = verb === 'create' ? undefined : await existing(api, target, verb === 'update');
  if (before === undefined && flags.image === undefined && flags.containers === undefined) throw failure(`Job [${target.job}] does not exist, and a new one needs --image.`);
  const job: Job = { ...before, client: 'actas', clientVersion: version() };
  // They asked for an execution with the change that brought them, not with this one.
  delete job.startExecutionToken;
  delete job.runExecutionToken;
  applyJobFlags(job, flags, target);
  if (before === undefined) return api.send<Operation>('POST', RUN, `${target.parent}/jobs`, job, { jobId: target.job });
  return api.send<Operation>('PATCH', RUN, target.name, job);
}

async function existing(api: Api, target: JobName, required: boolean): Promise<Job | undefined> {
  try {
    return await api.get<Job>(RUN, target.name);
  } catch (error) {
    if (required || !isApiFailure(error, 'NOT_FOUND')) throw error;
    return undefined;
  }
}

/** The job when it is ready. Who may create a job need not be allowed to see operations; then the job itself is read. */
async function finished(session: Session, api: Api, operation: Operation, target: JobName): Promise<Job> {
  try {
    return await api.finish<Job>(RUN, operation);
  } catch (error) {
    if (!isApiFailure(error, 'PERMISSION_DENIED')) throw error;
    session.terminal.warn(`The request was accepted, but you may not watch it: ${error.reason}`);
    const accepted: Job = operation.metadata ?? {};
    return { ...accepted, name: target.name };
  }
}

function notReady(message: string, session: Session, target: JobName): CliFailure {
  return failure(message, `The job is stored, but cannot be executed until it is mended:  ${session.hint(`run jobs update ${target.job} ...`)}`);
}

function explained(error: unknown, session: Session, verb: Verb, target: JobName): unknown {
  if (error instanceof OperationFailure) return notReady(error.reason, session, target);
  if (verb === 'create' && isApiFailure(error, 'ALREADY_EXISTS'))
    return new ApiFailure(error.status, `Job [${target.job}] already exists.`, [
      { '@type': 'type.googleapis.com/google.rpc.LocalizedMessage', message: `Change it with:\n  ${session.hint(`run jobs update ${target.job} ...`)}` },
    ]);
  if (isApiFailure(error, 'ABORTED'))
    return new ApiFailure(error.status, error.reason, [
      ...error.details,
      { '@type': 'type.googleapis.com/google.rpc.LocalizedMessage', message: 'Somebody changed the job at the same time. Run the command again.' },
    ]);
  return error;
}
