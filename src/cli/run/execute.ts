/** `run jobs execute`: starts an execution, and waits for it as far as asked. Also the second half of `deploy --wait`. */
import { Option } from 'commander';
import { type Operation, RUN } from '../api.ts';
import { type CliCommand, defineCommand, onRun, type Shell, withRegion } from '../command.ts';
import { ApiFailure, EXIT, type ExitCode, failure, isApiFailure } from '../failure.ts';
import type { Session } from '../session.ts';
import { collectList, collectPairs, integerBetween, parseDuration } from '../values.ts';
import { type ContainerScope, scopeByContainer } from './container-scopes.ts';
import { jobName } from './names.ts';
import { conditionOf, type Execution, executionState, shortName } from './shapes.ts';
import { printRunResource } from './v1-view.ts';
import { reportOutcome, watchExecution } from './watch.ts';

/** What one execution may have different in a container. */
interface ContainerOverrides {
  readonly args?: readonly string[];
  readonly updateEnvVars?: ReadonlyMap<string, string>;
}
interface ExecuteFlags extends ContainerOverrides {
  readonly tasks?: number;
  readonly taskTimeout?: number;
  /** Each with the flags behind it. */
  readonly containers?: readonly ContainerScope<ContainerOverrides>[];
  readonly wait?: boolean;
  readonly async?: boolean;
  readonly logs?: boolean;
}

const MOST_TASKS = 10_000;
const NO_FIELD = "the API's published form has no field for it.";

export function registerExecute(jobs: CliCommand, shell: Shell): void {
  const command = withRegion(
    defineCommand(jobs, 'execute <job>', {
      summary: 'execute a job',
      description:
        'Executes a job. Returns when the execution has started; with --wait when it has ended, with its outcome as exit code: 0 succeeded, 1 failed, 6 cancelled. Ctrl-C stops waiting and leaves the execution running.',
      examples: [
        'actas run jobs execute hello --wait --logs',
        'actas run jobs execute hello --tasks=3 --update-env-vars=GREETING=hi',
        'actas run jobs execute hello --async --format="value(name)"',
      ],
    }),
  );
  command
    .option('--wait', 'wait until the execution has ended, and exit with its outcome')
    .addOption(new Option('--logs', 'with --wait: print the logs as they come').implies({ wait: true }))
    .addOption(new Option('--tail', 'the same as --logs').implies({ wait: true, logs: true }).hideHelp())
    .addOption(new Option('--async', 'return when the execution is accepted').conflicts(['wait', 'logs', 'tail']))
    .option('--tasks <count>', 'tasks in this execution', integerBetween(1, MOST_TASKS))
    .option('--task-timeout <duration>', 'longest time for one attempt of a task: 600, 10m, 1h30m', parseDuration);
  command.refusedFlags = { '--delay-execution': NO_FIELD };
  scopeByContainer(
    command,
    () => [
      new Option('--args <list>', 'arguments in this execution; empty: none').argParser(collectList),
      new Option('--update-env-vars <pairs>', 'sets these variables in this execution').argParser(collectPairs),
    ],
    'any order',
  );
  onRun<ExecuteFlags>(command, shell, async (session, given) => {
    const job = await jobName(session, given);
    return execute(session, job.name, overridesOf(session.flags), session.flags);
  });
}

/** What `:run` takes; undefined where nothing is overridden, since any override needs run.jobs.runWithOverrides. */
export function overridesOf(flags: ExecuteFlags): object | undefined {
  const containers = (flags.containers ?? [{ name: undefined, flags }])
    .filter(({ flags: { args, updateEnvVars } }) => args !== undefined || updateEnvVars !== undefined)
    .map(({ name, flags: { args, updateEnvVars } }) => ({
      ...(name === undefined ? {} : { name }),
      ...(args === undefined ? {} : args.length === 0 ? { clearArgs: true } : { args }),
      ...(updateEnvVars === undefined ? {} : { env: [...updateEnvVars].map(([key, value]) => ({ name: key, value })) }),
    }));
  const overrides = {
    ...(containers.length === 0 ? {} : { containerOverrides: containers }),
    ...(flags.tasks === undefined ? {} : { taskCount: flags.tasks }),
    ...(flags.taskTimeout === undefined ? {} : { timeout: `${flags.taskTimeout}s` }),
  };
  return Object.keys(overrides).length === 0 ? undefined : overrides;
}

/** @param job resource name @returns the exit code */
export async function execute(session: Session, job: string, overrides: object | undefined, flags: Pick<ExecuteFlags, 'wait' | 'async' | 'logs'>): Promise<ExitCode> {
  const { terminal } = session;
  const api = await session.api();
  const operation = await api.send<Operation>('POST', RUN, `${job}:run`, overrides === undefined ? {} : { overrides });
  const accepted: Execution = operation.metadata ?? operation.response ?? {};
  if (accepted.name === undefined) throw failure('The server started an execution without naming it.');
  const name = shortName(accepted.name);
  if (flags.async === true) {
    terminal.note(`Execution [${name}] is being started asynchronously.\nView details about it:  ${session.hint(`run jobs executions describe ${name}`)}`);
    if (session.format !== undefined) await printRunResource(session, session.format, accepted);
    return EXIT.ok;
  }
  terminal.note(`Execution [${name}] is accepted.`);
  const watched = await watchExecution(session, accepted, { until: flags.wait === true ? 'Completed' : 'Started', logs: flags.logs === true }).catch((error: unknown) => {
    if (!isApiFailure(error, 'PERMISSION_DENIED')) throw error;
    return error;
  });
  if (watched instanceof ApiFailure) return unwatched(session, name, watched, flags.wait === true);
  for (const condition of watched.execution.conditions ?? []) if (condition.severity === 'WARNING' && condition.message !== undefined) terminal.warn(condition.message);
  if (session.format !== undefined) await printRunResource(session, session.format, watched.execution);
  if (flags.wait === true || watched.interrupted) return reportOutcome(session, watched);
  return reportStart(session, watched.execution);
}

/** Who may start an execution (roles/run.invoker) need not be allowed to see it. Without `--wait` the start is all that was asked for. */
function unwatched(session: Session, name: string, denial: ApiFailure, wait: boolean): ExitCode {
  if (wait) throw new ApiFailure(denial.status, `Execution [${name}] was started and runs on, but you may not see how it ends: ${denial.reason}`, denial.details);
  session.terminal.warn(`Execution [${name}] was started, but you may not watch it: ${denial.reason}`);
  return EXIT.ok;
}

async function reportStart(session: Session, execution: Execution): Promise<ExitCode> {
  const name = shortName(execution.name);
  const state = executionState(execution);
  // It may have failed before it could start: no image, for example.
  if (state === 'Failed' || state === 'Cancelled') return reportOutcome(session, { execution, interrupted: false });
  const message = conditionOf(execution, 'Started')?.message;
  const waiting = state === 'Succeeded' ? 'completed' : 'started running';
  session.terminal.note(`Execution [${name}] has successfully ${waiting}.${message === undefined ? '' : ` ${message}`}`);
  session.terminal.note(
    `View details about it:  ${session.hint(`run jobs executions describe ${name}`)}\nFollow its logs:        ${session.hint(`run jobs logs tail ${shortName(execution.job)} --execution=${name}`)}`,
  );
  return EXIT.ok;
}
