/** `run jobs list`, `describe` and `delete`. */
import { Option } from 'commander';
import { type Operation, RUN } from '../api.ts';
import { type CliCommand, defineCommand, type ListFlags, onRun, type Shell, withRegion } from '../command.ts';
import { addListFlags, column, serverLimit } from '../listing.ts';
import { describeJob } from './describe.ts';
import { NAMESPACE } from './executions.ts';
import { exportJob } from './export.ts';
import { jobName } from './names.ts';
import { type Job, readySymbol, shortName, showTime } from './shapes.ts';
import { printRunResource, showRunList } from './v1-view.ts';

const COLUMNS = [
  column<Job>('', (job) => readySymbol(job.terminalCondition)),
  column<Job>('JOB', (job) => shortName(job.name)),
  column<Job>('REGION', (job) => (job.name ?? '').split('/')[3] ?? ''),
  column<Job>('LAST RUN AT', (job) => showTime(job.latestCreatedExecution?.createTime)),
  column<Job>('CREATED', (job) => showTime(job.createTime)),
  column<Job>('CREATED BY', (job) => job.creator ?? ''),
];

export function registerJobs(jobs: CliCommand, shell: Shell): void {
  const list = withRegion(
    defineCommand(jobs, 'list', {
      summary: 'list jobs',
      examples: ['actas run jobs list', 'actas run jobs list --filter="template.template.serviceAccount:hello-sa" --format="value(name.basename())"'],
    }),
  );
  list.refusedFlags = NAMESPACE;
  onRun<ListFlags>(addListFlags(list, true), shell, async (session) => {
    const { parent, project, region } = await session.location();
    const found = await (await session.api()).list<Job>(RUN, `${parent}/jobs`, 'jobs', { limit: serverLimit(session.flags) });
    await showRunList(session, { kind: 'jobs', project, region }, found, COLUMNS, 'No jobs here yet.');
  });

  const describe = withRegion(
    defineCommand(jobs, 'describe <job>', {
      summary: 'show a job',
      examples: [
        'actas run jobs describe hello',
        'actas run jobs describe hello --format=yaml',
        'actas run jobs describe hello --format="value(template.template.serviceAccount)"',
        'actas run jobs describe hello --format=export > job.yaml',
      ],
    }),
  );
  onRun(describe, shell, async (session, given) => {
    const target = await jobName(session, given);
    if (session.format?.kind === 'export') return session.terminal.printRaw(await exportJob(await session.api(), target));
    const job = await (await session.api()).get<Job>(RUN, target.name);
    if (session.format !== undefined) return printRunResource(session, session.format, job);
    session.terminal.print(describeJob(job));
  });

  const remove = withRegion(
    defineCommand(jobs, 'delete <job>', { summary: 'delete a job with its executions', examples: ['actas run jobs delete hello', 'actas run jobs delete hello --quiet'] }),
  ).addOption(new Option('--async', 'return when the request is accepted'));
  onRun<{ readonly async?: boolean }>(remove, shell, async (session, given) => {
    const { terminal } = session;
    const { name, job } = await jobName(session, given);
    if (!(await terminal.confirm(`Job [${job}] and its executions will be deleted. Continue?`))) return;
    const api = await session.api();
    const stages = terminal.stages();
    await stages.start(`Deleting job [${job}]...`);
    try {
      const operation = await api.send<Operation>('DELETE', RUN, name);
      if (session.flags.async !== true) await api.finish(RUN, operation);
    } catch (error) {
      stages.fail();
      throw error;
    }
    stages.done();
    terminal.note(session.flags.async === true ? `Job [${job}] is being deleted asynchronously.` : `Deleted job [${job}].`);
  });
}
