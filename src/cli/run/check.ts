/** `run jobs check`: what stands in the way of a job, stored or in a file, before it is deployed. A client of actas.v1.JobChecks. */
import { existsSync } from 'node:fs';
import { Option } from 'commander';
import { ACTAS } from '../api.ts';
import { type CliCommand, defineCommand, onRun, type Shell, withRegion } from '../command.ts';
import { readDocument } from '../documents.ts';
import { EXIT, type ExitCode, usageFailure } from '../failure.ts';
import { printResource } from '../format.ts';
import { type Chain, parseChain } from '../impersonation.ts';
import type { Json } from '../json.ts';
import { createSession, DEFAULT_REGION, type Session } from '../session.ts';
import { asPrincipal } from '../target.ts';
import type { Terminal } from '../terminal.ts';
import { jobName } from './names.ts';

interface CheckFlags {
  readonly live?: boolean;
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
  check.addOption(new Option('--live', 'ask the real Google Cloud, with your own credentials; no control plane is needed'));
  onRun<CheckFlags>(check, shell, async (session, given) => {
    const asked = isFile(given) ? await readDefinition(session, given) : { job: given, definition: {} };
    if (session.flags.live === true) return show(session, await askGoogle(session, asked));
    // Elsewhere --as chooses who calls; here it is who is asked about.
    const { as, account, ...flags } = session.flags;
    const own = createSession<CheckFlags>(session.io, flags);
    const principal = asPrincipal(as ?? account);
    const { name } = await jobName(
      createSession(session.io, { ...flags, ...(asked.project === undefined ? {} : { project: asked.project }), ...(asked.region === undefined ? {} : { region: asked.region }) }),
      asked.job,
    );
    const request: CheckRequest = {
      ...asked.definition,
      ...(principal === undefined ? {} : { principal }),
      ...(flags.for === undefined ? {} : { purpose: flags.for === 'deploy' ? 'DEPLOY' : 'RUN' }),
      ...(flags.withOverrides === true ? { withOverrides: true } : {}),
    };
    return show(own, await (await own.api()).send<JobReport>('POST', ACTAS, `${name}:check`, request));
  });
}

/** What a command line or a file says of the job. */
interface AskedJob {
  /** Its short or whole name. */
  readonly job: string;
  readonly project?: string;
  readonly region?: string;
  readonly definition: Pick<CheckRequest, 'job' | 'v1Job'>;
}

async function askGoogle(session: Session<CheckFlags>, { job, project, region, definition }: AskedJob): Promise<JobReport> {
  const { io, flags } = session;
  const { checkLive } = await import('../live/check.ts');
  const { gcloudProperty } = await import('../live/google.ts');
  const chain = liveChain(flags);
  let name = job;
  if (!WHOLE_NAME.test(job)) {
    const inProject =
      project ?? (flags.project || io.env['ACTAS_PROJECT'] || io.env['CLOUDSDK_CORE_PROJECT'] || io.env['GOOGLE_CLOUD_PROJECT'] || (await gcloudProperty(io, 'project')));
    if (!inProject) throw usageFailure('No project is named.', 'Add --project=PROJECT.');
    const inRegion = region ?? (flags.region || io.env['ACTAS_REGION'] || io.env['CLOUDSDK_RUN_REGION'] || (await gcloudProperty(io, 'run/region')));
    name = `projects/${inProject}/locations/${inRegion || DEFAULT_REGION}/jobs/${job}`;
  }
  const purpose = flags.for === 'deploy' ? 'DEPLOY' : flags.for === 'run' ? 'RUN' : 'BOTH';
  return checkLive(io, { name, ...definition, purpose, withOverrides: flags.withOverrides === true }, chain);
}

/** Google is asked about others by speaking as them, which only service accounts let happen. @throws usage */
function liveChain({ as, account, impersonateServiceAccount }: Session<CheckFlags>['flags']): Chain | undefined {
  if (impersonateServiceAccount !== undefined) return parseChain(impersonateServiceAccount);
  const principal = asPrincipal(as ?? account);
  if (principal === undefined) return undefined;
  if (!principal.startsWith('serviceAccount:')) throw usageFailure(`--live cannot speak as ${principal}.`, 'Name a service account, which you may impersonate, or leave --as out.');
  return parseChain(principal.slice('serviceAccount:'.length));
}

/** A job's name has no dot, and a slash only in its whole form. */
function isFile(given: string): boolean {
  return given === '-' || (!WHOLE_NAME.test(given) && (/[./\\]/.test(given) || existsSync(given)));
}

/** @throws usage where the file does not name the job */
async function readDefinition(session: Session<CheckFlags>, file: string): Promise<AskedJob> {
  const document = await readDocument(session, file);
  if (!isObject(document)) throw usageFailure(`${file} does not describe a job.`);
  if (document['apiVersion'] === undefined && document['kind'] === undefined) {
    const { name } = document;
    if (typeof name !== 'string')
      throw usageFailure(`${file} does not name its job.`, 'Add the field name: projects/PROJECT/locations/REGION/jobs/JOB, or JOB alone with --project and --region.');
    return { job: name, definition: { job: document } };
  }
  const metadata = isObject(document['metadata']) ? document['metadata'] : {};
  const labels = isObject(metadata['labels']) ? metadata['labels'] : {};
  const { name, namespace } = metadata;
  if (typeof name !== 'string' || name === '') throw usageFailure(`${file} does not name its job.`, 'Add metadata.name.');
  const region = labels['cloud.googleapis.com/location'];
  const { flags } = session;
  return {
    job: name,
    ...(flags.project === undefined && (typeof namespace === 'string' || typeof namespace === 'number') ? { project: String(namespace) } : {}),
    ...(flags.region === undefined && typeof region === 'string' ? { region } : {}),
    definition: { v1Job: document },
  };
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
