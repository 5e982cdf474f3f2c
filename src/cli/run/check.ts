/** `run jobs check`: what stands in the way of a job, stored or in a file, before it is deployed. A client of actas.v1.JobChecks. */
import { existsSync } from 'node:fs';
import { Option } from 'commander';
import { ACTAS } from '../api.ts';
import { type CliCommand, defineCommand, onRun, type Shell, withRegion } from '../command.ts';
import { readDocument } from '../documents.ts';
import { EXIT, type ExitCode, usageFailure } from '../failure.ts';
import { printResource } from '../format.ts';
import type { Json } from '../projection.ts';
import { createSession, type Session } from '../session.ts';
import { asPrincipal } from '../target.ts';
import type { Terminal } from '../terminal.ts';
import { jobName } from './names.ts';

interface CheckFlags {
  readonly for?: 'deploy' | 'run';
  readonly withOverrides?: boolean;
  readonly allowUnknown?: boolean;
}

/** The body of CheckJob, less its name. */
interface CheckRequest {
  readonly job?: object;
  readonly v1Job?: object;
  readonly principal?: string;
  readonly purpose?: 'DEPLOY' | 'RUN';
  readonly withOverrides?: boolean;
}

interface Finding {
  readonly topic?: string;
  readonly state?: string;
  readonly about?: string;
  readonly message?: string;
  readonly remedy?: string;
  readonly remedySentence?: string;
}

interface JobReport {
  readonly name?: string;
  readonly principal?: string;
  readonly serviceAccount?: string;
  readonly state?: string;
  readonly findings?: readonly Finding[];
}

const WHOLE_NAME = /^projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/]+$/;

export function registerCheck(jobs: CliCommand, shell: Shell): void {
  const check = withRegion(
    defineCommand(jobs, 'check <job-or-file>', {
      summary: 'say what a deploy and a run would be refused for, and change nothing',
      description:
        'Asks every question that the deploy and the run of a job will ask, and changes nothing: permissions, the service account, organization policies, images. ' +
        'Takes a stored job, or a file in YAML or JSON (`-`: stdin) that describes one, in version 1 or 2 of the API. With --as it asks about another principal, for who may read the policies concerned.',
      examples: [
        'actas run jobs check hello',
        'actas run jobs check job.yaml --as=serviceAccount:ci@demo.iam.gserviceaccount.com',
        'actas run jobs check job.yaml --for=deploy --format=json',
      ],
    }),
  )
    .addOption(new Option('--for <what>', 'ask for one of the two alone: deploy or run').choices(['deploy', 'run']))
    .addOption(new Option('--with-overrides', 'runs are to have overrides (arguments, variables, tasks), which need another permission'))
    .addOption(new Option('--allow-unknown', 'exit with 0 also where something could not be told'));
  onRun<CheckFlags>(check, shell, async (session, given) => {
    // Elsewhere --as chooses who calls; here it is who is asked about.
    const { as, account, ...flags } = session.flags;
    const own = createSession<CheckFlags>(session.io, flags);
    const principal = asPrincipal(as ?? account);
    const { name, definition } = isFile(given) ? await fromFile(own, given) : { name: (await jobName(own, given)).name, definition: {} };
    const request: CheckRequest = {
      ...definition,
      ...(principal === undefined ? {} : { principal }),
      ...(flags.for === undefined ? {} : { purpose: flags.for === 'deploy' ? 'DEPLOY' : 'RUN' }),
      ...(flags.withOverrides === true ? { withOverrides: true } : {}),
    };
    return show(own, await (await own.api()).send<JobReport>('POST', ACTAS, `${name}:check`, request));
  });
}

/** A job's name has no dot, and a slash only in its whole form. */
function isFile(given: string): boolean {
  return given === '-' || (!WHOLE_NAME.test(given) && (/[./\\]/.test(given) || existsSync(given)));
}

/** @throws usage where the file does not name the job */
async function fromFile(session: Session<CheckFlags>, file: string): Promise<{ readonly name: string; readonly definition: Pick<CheckRequest, 'job' | 'v1Job'> }> {
  const document = await readDocument(session, file);
  if (!isObject(document)) throw usageFailure(`${file} does not describe a job.`);
  if (document['apiVersion'] === undefined && document['kind'] === undefined) {
    const { name } = document;
    if (typeof name !== 'string')
      throw usageFailure(`${file} does not name its job.`, 'Add the field name: projects/PROJECT/locations/REGION/jobs/JOB, or JOB alone with --project and --region.');
    return { name: (await jobName(session, name)).name, definition: { job: document } };
  }
  const metadata = isObject(document['metadata']) ? document['metadata'] : {};
  const labels = isObject(metadata['labels']) ? metadata['labels'] : {};
  const { name, namespace } = metadata;
  if (typeof name !== 'string' || name === '') throw usageFailure(`${file} does not name its job.`, 'Add metadata.name.');
  const region = labels['cloud.googleapis.com/location'];
  const { flags } = session;
  const there = createSession(session.io, {
    ...flags,
    ...(flags.project === undefined && (typeof namespace === 'string' || typeof namespace === 'number') ? { project: String(namespace) } : {}),
    ...(flags.region === undefined && typeof region === 'string' ? { region } : {}),
  });
  return { name: (await jobName(there, name)).name, definition: { v1Job: document } };
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const SYMBOLS: Readonly<Record<string, readonly [symbol: string, word: string]>> = {
  HOLDS: ['✔', 'holds'],
  MISSING: ['✘', 'missing'],
  UNKNOWN: ['?', 'unknown'],
  NOT_ASKED: ['-', 'not asked'],
};

async function show({ terminal, format, flags }: Session<CheckFlags>, report: JobReport): Promise<ExitCode> {
  if (format === undefined) await showForPeople(terminal, report);
  else await printResource(terminal, format, report);
  if (report.state === 'MISSING') return EXIT.error;
  return report.state === 'UNKNOWN' && flags.allowUnknown !== true ? EXIT.untold : EXIT.ok;
}

async function showForPeople(terminal: Terminal, { findings = [], principal = '', serviceAccount = '', state = '' }: JobReport): Promise<void> {
  terminal.note(`${principal} deploys and runs a job as ${serviceAccount === '' ? 'an account that is not known' : serviceAccount}\n`);
  await terminal.table(
    ['', 'CHECK', 'STATE'],
    findings.map(({ state: each = '', about = '' }) => [SYMBOLS[each]?.[0] ?? '', about, SYMBOLS[each]?.[1] ?? each]),
  );
  for (const { state: each = '', about = '', message = '', remedy = '', remedySentence = '' } of findings) {
    if (each === 'HOLDS') continue;
    terminal.print(`\n${SYMBOLS[each]?.[0] ?? ''} ${about}: ${message}`);
    if (remedy !== '') terminal.print(`  ${remedySentence}\n    ${remedy.replaceAll('\n', '\n    ')}`);
  }
  const missing = findings.filter((finding) => finding.state === 'MISSING').length;
  const unknown = findings.filter((finding) => finding.state === 'UNKNOWN').length;
  const tail = unknown === 0 ? '' : `, ${unknown} unknown`;
  terminal.note(state === 'HOLDS' ? '\nNothing stands in the way.' : `\n${missing} missing${tail}.`);
}
