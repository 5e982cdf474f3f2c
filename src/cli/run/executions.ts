/** `run jobs executions ...` and `run jobs executions tasks ...`. */
import { Option } from 'commander';
import { type Operation, RUN } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell, withRegion } from '../command.ts';
import { failure } from '../failure.ts';
import { addListFlags, column, serverLimit } from '../listing.ts';
import type { Session } from '../session.ts';
import { describeExecution, describeTask } from './describe.ts';
import { registerExecutionLogs } from './logs.ts';
import { getExecution, getTask, jobName } from './names.ts';
import { type Execution, executionState, exitOf, type Job, shortName, showTime, stateSymbol, type Task, taskState } from './shapes.ts';
import { printRunResource, showRunList } from './v1-view.ts';

interface JobFlag {
  readonly job?: string;
}

const EXECUTION_COLUMNS = [
  column<Execution>('', (execution) => stateSymbol(executionState(execution))),
  column<Execution>('JOB', (execution) => shortName(execution.job)),
  column<Execution>('EXECUTION', (execution) => shortName(execution.name)),
  column<Execution>('STATUS', (execution) => executionState(execution)),
  column<Execution>('RUNNING', (execution) => String(execution.runningCount ?? 0)),
  column<Execution>('COMPLETE', (execution) => `${execution.succeededCount ?? 0} / ${execution.taskCount ?? 1}`),
  column<Execution>('CREATED', (execution) => showTime(execution.createTime)),
  column<Execution>('CREATED BY', (execution) => execution.creator ?? ''),
];

/** gcloud's older word for the project. */
export const NAMESPACE = { '--namespace': 'it is the project: --project=PROJECT.' };

const TASK_COLUMNS = [
  column<Task>('', (task) => stateSymbol(taskState(task))),
  column<Task>('TASK', (task) => shortName(task.name)),
  column<Task>('INDEX', (task) => String(task.index ?? 0)),
  column<Task>('STATUS', (task) => taskState(task)),
  column<Task>('RETRIES', (task) => String(task.retried ?? 0)),
  column<Task>('EXIT CODE', exitOf),
  column<Task>('STARTED', (task) => showTime(task.startTime)),
  column<Task>('COMPLETED', (task) => showTime(task.completionTime)),
];

export function registerExecutions(jobs: CliCommand, shell: Shell): void {
  const group = defineGroup(jobs, 'executions', 'executions of jobs');
  registerReads(group, shell);
  registerChanges(group, shell);
  registerTasks(defineGroup(group, 'tasks', 'tasks of executions'), shell);
  registerExecutionLogs(group, shell);
}

function registerReads(group: CliCommand, shell: Shell): void {
  const list = addListFlags(
    withRegion(
      defineCommand(group, 'list', {
        summary: 'list executions, newest first',
        examples: ['actas run jobs executions list', 'actas run jobs executions list --job=hello --limit=5'],
      }),
    ),
    true,
  ).option('--job <job>', 'of this job only');
  list.refusedFlags = NAMESPACE;
  onRun<ListFlags & JobFlag>(list, shell, async (session) => {
    const job = session.flags.job === undefined ? undefined : await jobName(session, session.flags.job);
    const { project, region, parent } = job ?? (await session.location());
    const found = await (await session.api()).list<Execution>(RUN, `${job?.name ?? `${parent}/jobs/-`}/executions`, 'executions', { limit: serverLimit(session.flags) });
    const selector = job === undefined ? {} : { selector: `run.googleapis.com/job = ${job.job}` };
    await showRunList(session, { kind: 'executions', project, region, ...selector }, found, EXECUTION_COLUMNS, 'No executions yet.');
  });

  const describe = withRegion(
    defineCommand(group, 'describe <execution>', {
      summary: 'show an execution',
      examples: ['actas run jobs executions describe hello-x7k2p', 'actas run jobs executions describe hello-x7k2p --format=json'],
    }),
  ).option('--job <job>', 'its job, where the name does not tell');
  onRun<JobFlag>(describe, shell, async (session, given) => show(session, await getExecution(session, given, session.flags.job)));

  const latest = withRegion(
    defineCommand(group, 'describe-latest', { summary: "show a job's newest execution", examples: ['actas run jobs executions describe-latest --job=hello'] }),
  ).option('--job <job>', 'the job');
  onRun<JobFlag>(latest, shell, async (session) => {
    const { name, job } = await jobName(session, requiredFlag(session.flags.job, '--job <job>'));
    const found = await (await session.api()).get<Job>(RUN, name);
    const execution = found.latestCreatedExecution?.name;
    if (execution === undefined) throw failure(`Job [${job}] has no executions.`);
    await show(session, await getExecution(session, execution.includes('/') ? execution : `${name}/executions/${execution}`));
  });
}

async function show(session: Session, execution: Execution): Promise<void> {
  if (session.format !== undefined) return printRunResource(session, session.format, execution);
  session.terminal.print(describeExecution(execution, Date.now()));
}

interface ChangeFlags extends JobFlag {
  readonly async?: boolean;
}

function registerChanges(group: CliCommand, shell: Shell): void {
  const verbs = [
    { verb: 'cancel', summary: 'cancel an execution that runs', question: 'will be cancelled', stage: 'Cancelling', done: 'Cancelled' },
    { verb: 'delete', summary: 'delete an execution', question: 'will be deleted', stage: 'Deleting', done: 'Deleted' },
  ] as const;
  for (const words of verbs) {
    const command = withRegion(defineCommand(group, `${words.verb} <execution>`, { summary: words.summary, examples: [`actas run jobs executions ${words.verb} hello-x7k2p`] }))
      .option('--job <job>', 'its job, where the name does not tell')
      .addOption(new Option('--async', 'return when the request is accepted'));
    onRun<ChangeFlags>(command, shell, async (session, given) => {
      const { terminal } = session;
      const execution = await getExecution(session, given, session.flags.job);
      const name = shortName(execution.name);
      if (!(await terminal.confirm(`Execution [${name}] ${words.question}. Continue?`))) return;
      const api = await session.api();
      const stages = terminal.stages();
      await stages.start(`${words.stage} execution [${name}]...`);
      try {
        const operation =
          words.verb === 'cancel' ? await api.send<Operation>('POST', RUN, `${execution.name ?? ''}:cancel`, {}) : await api.send<Operation>('DELETE', RUN, execution.name ?? '');
        if (session.flags.async !== true) await api.finish(RUN, operation);
      } catch (error) {
        stages.fail();
        throw error;
      }
      stages.done();
      terminal.note(session.flags.async === true ? `${words.stage} execution [${name}] asynchronously.` : `${words.done} execution [${name}].`);
    });
  }
}

const STATES = ['succeeded', 'failed', 'cancelled', 'running', 'abandoned', 'pending'] as const;
type State = (typeof STATES)[number];

/** Flags that stand for several states, with those that they stand for when given, and when given as `--no-...`. */
const STATE_GROUPS = {
  completed: { yes: ['succeeded', 'failed', 'cancelled'], no: ['running', 'pending'] },
  started: { yes: ['succeeded', 'failed', 'cancelled', 'running'], no: ['pending', 'abandoned'] },
} as const satisfies Record<string, { readonly yes: readonly State[]; readonly no: readonly State[] }>;

type TaskFlags = ListFlags & JobFlag & { readonly execution?: string; readonly completed?: boolean; readonly started?: boolean } & { readonly [S in State]?: boolean };

/** They add up. */
function wantedStates(flags: TaskFlags): ReadonlySet<string> {
  const groups = (['completed', 'started'] as const).flatMap((name) => (flags[name] === undefined ? [] : STATE_GROUPS[name][flags[name] ? 'yes' : 'no']));
  return new Set([...STATES.filter((state) => flags[state] === true), ...groups]);
}

function registerTasks(group: CliCommand, shell: Shell): void {
  const list = addListFlags(
    withRegion(
      defineCommand(group, 'list', {
        summary: "list an execution's tasks",
        examples: ['actas run jobs executions tasks list --execution=hello-x7k2p', 'actas run jobs executions tasks list --execution=hello-x7k2p --failed'],
      }),
    ),
    true,
  )
    .option('--execution <execution>', 'the execution')
    .option('--job <job>', 'its job, where the name does not tell');
  for (const state of STATES) list.option(`--${state}`, `tasks that are ${state}; several such flags add up`);
  for (const [name, { yes, no }] of Object.entries(STATE_GROUPS))
    list.option(`--${name}`, `tasks that are ${yes.join(', ')}`).option(`--no-${name}`, `tasks that are ${no.join(', ')}`);
  onRun<TaskFlags>(list, shell, async (session) => {
    const execution = await getExecution(session, requiredFlag(session.flags.execution, '--execution <execution>'), session.flags.job);
    const wanted = wantedStates(session.flags);
    const all = await (await session.api()).list<Task>(RUN, `${execution.name ?? ''}/tasks`, 'tasks', { limit: wanted.size === 0 ? serverLimit(session.flags) : undefined });
    const found = all.filter((task) => wanted.size === 0 || wanted.has(taskState(task).toLowerCase())).toSorted((left, right) => (left.index ?? 0) - (right.index ?? 0));
    const [, project = '', , region = ''] = (execution.name ?? '').split('/');
    const selector = `run.googleapis.com/execution = ${shortName(execution.name)}`;
    await showRunList(session, { kind: 'tasks', project, region, selector }, found, TASK_COLUMNS, 'No such tasks.');
  });

  const describe = withRegion(defineCommand(group, 'describe <task>', { summary: 'show a task', examples: ['actas run jobs executions tasks describe hello-x7k2p-task0'] }));
  onRun(describe, shell, async (session, given) => {
    const task = await getTask(session, given);
    if (session.format !== undefined) return printRunResource(session, session.format, task);
    session.terminal.print(describeTask(task, Date.now()));
  });
}
