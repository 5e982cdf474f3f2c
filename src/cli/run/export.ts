/** A job as `gcloud run jobs describe --format=export` prints it: YAML of run.googleapis.com/v1 without what a server writes, so that `run jobs replace` takes it back. */
import type { Api } from '../api.ts';
import { toYaml } from '../format.ts';
import { isRecord, type Json } from '../json.ts';

/** The Knative-style view of a job; only what the CLI reads is named. */
export interface V1Job {
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly generation?: number;
    readonly resourceVersion?: string;
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly { readonly type?: string; readonly status?: string; readonly reason?: string; readonly message?: string }[];
  };
}

type JsonRecord = { readonly [key: string]: Json };

export const LOCATION_LABEL = 'cloud.googleapis.com/location';
/** Source: command_lib/run/printers/export_printer.py of gcloud 528. */
const SERVER_METADATA = new Set(['creationTimestamp', 'generation', 'resourceVersion', 'selfLink', 'uid']);
/**
 * gcloud leaves the template's client and the time of the last update standing, which every write changes; without them
 * a file that was not touched says the same after it was applied.
 */
const SERVER_NOTES = new Set([
  'serving.knative.dev/creator',
  'serving.knative.dev/lastModifier',
  'run.googleapis.com/creator',
  'run.googleapis.com/lastModifier',
  'run.googleapis.com/client-name',
  'run.googleapis.com/client-version',
  'run.googleapis.com/creatorEmail',
  'run.googleapis.com/lastModifierEmail',
  'run.googleapis.com/lastUpdatedTime',
  'run.googleapis.com/operation-id',
]);

/** The prefix of Cloud Run v1 for one region: its own paths do not name it. */
export function runV1(region: string): string {
  return `run.googleapis.com/r/${region}/apis/run.googleapis.com/v1`;
}

/** @throws ApiFailure */
export async function exportJob(api: Api, { project, region, job }: { readonly project: string; readonly region: string; readonly job: string }): Promise<string> {
  return toYaml(exportedJob(await api.get<JsonRecord>(runV1(region), `namespaces/${project}/jobs/${job}`)));
}

/** @param job v1, as the server answers it */
export function exportedJob(job: JsonRecord): JsonRecord {
  const { status: _, ...kept } = job;
  const spec = asRecord(kept['spec']);
  const template = asRecord(spec['template']);
  return {
    ...kept,
    metadata: metadataOf(kept['metadata']),
    spec: { ...spec, template: { ...template, ...(template['metadata'] === undefined ? {} : { metadata: metadataOf(template['metadata']) }) } },
  };
}

function metadataOf(metadata: Json | undefined): JsonRecord {
  const kept: [string, Json][] = [];
  for (const [key, value] of Object.entries(asRecord(metadata))) {
    if (SERVER_METADATA.has(key)) continue;
    const notes = key === 'annotations' || key === 'labels' ? Object.entries(asRecord(value)).filter(([name]) => !SERVER_NOTES.has(name)) : undefined;
    if (notes === undefined) kept.push([key, value]);
    else if (notes.length > 0) kept.push([key, Object.fromEntries(notes)]);
  }
  return Object.fromEntries(kept);
}

function asRecord(value: Json | undefined): JsonRecord {
  return isRecord(value) ? value : {};
}
