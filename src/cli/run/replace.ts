/** `run jobs replace FILE`: YAML of kind Job (run.googleapis.com/v1), sent as gcloud sends it. A file may hold several jobs; all are checked before the first is sent. */
import { setTimeout as delay } from 'node:timers/promises';
import { Option } from 'commander';
import { version } from '../../version.ts';
import { type Api, pauses } from '../api.ts';
import { type CliCommand, defineCommand, onRun, type Shell, withRegion } from '../command.ts';
import { readDocuments } from '../documents.ts';
import { failure, isApiFailure } from '../failure.ts';
import { printResource } from '../format.ts';
import { isRecord, type Json } from '../json.ts';
import type { Session } from '../session.ts';
import { LOCATION_LABEL, runV1, type V1Job } from './export.ts';

interface ReplaceFlags {
  readonly async?: boolean;
  readonly clientName?: string;
  readonly clientVersion?: string;
}

type JsonRecord = { readonly [key: string]: Json };

/** A job that a file declares. */
export interface DeclaredJob {
  readonly name: string;
  /** From its label; undefined where it has none. */
  readonly region: string | undefined;
  /** v1, without its status. */
  readonly job: JsonRecord;
}

export function registerReplace(jobs: CliCommand, shell: Shell): void {
  const replace = withRegion(
    defineCommand(jobs, 'replace <file>', {
      summary: 'create a job from YAML, or replace it where it exists',
      description:
        'Creates jobs from YAML or JSON of kind Job (apiVersion run.googleapis.com/v1), or replaces them where they exist; - reads from stdin. ' +
        `The region is that of --region, else of the label ${LOCATION_LABEL}, else the default. ` +
        'With a resourceVersion in the file, a change made since then is refused instead of lost.',
      examples: ['actas run jobs replace job.yaml', 'actas run jobs replace - --region=us-east1 < job.yaml'],
    }),
  )
    .addOption(new Option('--async', 'return when the request is accepted'))
    .addOption(new Option('--client-name <name>', 'how the program that changes the job calls itself').hideHelp())
    .addOption(new Option('--client-version <version>', 'its version').hideHelp());
  onRun<ReplaceFlags>(replace, shell, async (session, file) => {
    const declared = (await readDocuments(session, file)).filter((document) => document !== null).map((document, i) => declaredJob(document, `${file}, document ${i + 1}`));
    if (declared.length === 0) throw failure(`${file} holds no job.`, 'Print one to begin with:  actas run jobs describe JOB --format=export');
    for (const each of declared) await replaceOne(session, each);
  });
}

/** @param place where it stands, for messages @throws failure for what is no v1 job */
export function declaredJob(document: Json, place: string): DeclaredJob {
  const broken = (what: string) => failure(`${place}: ${what}`, 'A job has apiVersion: run.googleapis.com/v1, kind: Job, metadata.name and spec.template.');
  if (!isRecord(document)) throw broken('this is no object.');
  const { status: _, ...job } = document;
  if (job['kind'] !== 'Job') throw broken(`kind is ${JSON.stringify(job['kind'] ?? null)}, and must be Job.`);
  if (job['apiVersion'] !== 'run.googleapis.com/v1') throw broken(`apiVersion is ${JSON.stringify(job['apiVersion'] ?? null)}, and must be run.googleapis.com/v1.`);
  const { metadata } = job;
  if (!isRecord(metadata) || typeof metadata['name'] !== 'string' || metadata['name'] === '') throw broken('metadata.name is missing.');
  if (metadata['name'].includes('/')) throw broken(`metadata.name is ${JSON.stringify(metadata['name'])}, and must be a short name.`);
  const { spec } = job;
  if (!isRecord(spec) || !isRecord(spec['template'])) throw broken('spec.template is required but missing.');
  const labels = metadata['labels'];
  const region = isRecord(labels) && typeof labels[LOCATION_LABEL] === 'string' ? labels[LOCATION_LABEL] : undefined;
  return { name: metadata['name'], region, job };
}

async function replaceOne(session: Session<ReplaceFlags>, declared: DeclaredJob): Promise<void> {
  const { terminal, flags } = session;
  const project = await session.project();
  const region = flags.region ?? declared.region ?? (await session.location()).region;
  const api = await session.api();
  const before = await findV1Job(api, project, region, declared.name);
  terminal.note(`${before === undefined ? 'Creating' : 'Updating'} job [${declared.name}] in project [${project}] region [${region}]`);
  const stages = terminal.stages();
  await stages.start(before === undefined ? 'Creating job...' : 'Updating job...');
  let job: V1Job;
  try {
    job = await sendV1Job(api, project, region, declared, before, {}, { name: flags.clientName ?? 'actas', version: flags.clientVersion ?? version() });
    if (flags.async !== true) job = await whenReady(api, project, region, job);
  } catch (error) {
    stages.fail();
    throw error;
  }
  const ready = job.status?.conditions?.find(({ type }) => type === 'Ready');
  if (flags.async !== true && ready?.status === 'False') {
    stages.fail();
    throw failure(ready.message ?? 'The job is not ready.', `The job is stored, but cannot be executed until it is mended:  ${session.hint('run jobs replace FILE')}`);
  }
  stages.done();
  if (session.format !== undefined) await printResource(terminal, session.format, job);
  const verb = before === undefined ? 'created' : 'updated';
  terminal.note(flags.async === true ? `Job [${declared.name}] is being ${verb} asynchronously.` : `Job [${declared.name}] has been successfully ${verb}.`);
  terminal.note(`\nTo execute this job, use:\n  ${session.hint(`run jobs execute ${declared.name}${flags.region === undefined ? ` --region=${region}` : ''}`)}`);
}

/** @throws ApiFailure, except where there is no such job */
export async function findV1Job(api: Api, project: string, region: string, name: string): Promise<V1Job | undefined> {
  try {
    return await api.get<V1Job>(runV1(region), `namespaces/${project}/jobs/${name}`);
  } catch (error) {
    if (isApiFailure(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

/** Creates or replaces. Without a resourceVersion of its own the file replaces the version that was read. @returns the job, which need not be ready yet */
export async function sendV1Job(
  api: Api,
  project: string,
  region: string,
  { name, job }: DeclaredJob,
  before: V1Job | undefined,
  query: { readonly dryRun?: 'all' } = {},
  client: Client = { name: 'actas', version: version() },
): Promise<V1Job> {
  const given = isRecord(job['metadata']) ? job['metadata'] : {};
  const namespace = given['namespace'];
  const metadata = {
    ...noted(given, client),
    // YAML reads a project's number as a number.
    namespace: typeof namespace === 'number' ? String(namespace) : (namespace ?? project),
    ...(before?.metadata?.resourceVersion === undefined ? {} : { resourceVersion: given['resourceVersion'] ?? before.metadata.resourceVersion }),
  };
  const spec = isRecord(job['spec']) ? job['spec'] : {};
  const template = isRecord(spec['template']) ? spec['template'] : {};
  const body = { ...job, metadata, spec: { ...spec, template: { ...template, metadata: noted(template['metadata'], client) } } };
  if (before === undefined) return api.send<V1Job>('POST', runV1(region), `namespaces/${project}/jobs`, body, query);
  return api.send<V1Job>('PUT', runV1(region), `namespaces/${project}/jobs/${name}`, body, query);
}

/** What a job says of the program that wrote it. */
interface Client {
  readonly name: string;
  readonly version: string;
}

/** Names the client, on the job and on its template, as gcloud does. */
function noted(metadata: Json | undefined, client: Client): JsonRecord {
  const kept = isRecord(metadata) ? metadata : {};
  const annotations = isRecord(kept['annotations']) ? kept['annotations'] : {};
  return { ...kept, annotations: { ...annotations, 'run.googleapis.com/client-name': client.name, 'run.googleapis.com/client-version': client.version } };
}

/** Waits until what was sent has been looked at. */
export async function whenReady(api: Api, project: string, region: string, sent: V1Job): Promise<V1Job> {
  let job = sent;
  for (const pause of pauses(20, 1000)) {
    job = await api.get<V1Job>(runV1(region), `namespaces/${project}/jobs/${sent.metadata?.name ?? ''}`);
    const ready = job.status?.conditions?.find(({ type }) => type === 'Ready');
    const isSeen = (job.status?.observedGeneration ?? 0) >= (sent.metadata?.generation ?? 0);
    if (isSeen && (ready?.status === 'True' || ready?.status === 'False')) break;
    await delay(pause);
  }
  return job;
}
