/**
 * Secrets in a task's template: where they stand, whether the job's account may read them (asked at the deploy), and what they are at the start of an
 * attempt. What was read goes into the attempt's specification, and nowhere else.
 * Must not know: policies, keys, the store; whoever makes the runner gives it a reader.
 */
import type { SecretVolumeSource } from '../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { TaskTemplate } from '../gen/google/cloud/run/v2/task_template_pb.js';
import { lastId } from '../resource-name.ts';
import type { AttemptSpec, FilesVolume } from './driver.ts';

/** A version of a secret as a template names it. */
export interface SecretReference {
  /** `S` of the job's own project, or `projects/P/secrets/S`. */
  readonly secret: string;
  /** A number, `latest`, or an alias. */
  readonly version: string;
}
/** Who reads, for which job. */
export interface SecretUser {
  /** e-mail of the job's account. */
  readonly account: string;
  readonly projectId: string;
}

export interface SecretReader {
  /** Whether it could be read now, without reading it. @throws SecretRefused */
  check(user: SecretUser, reference: SecretReference): Promise<void>;
  /** @throws SecretRefused */
  read(user: SecretUser, reference: SecretReference): Promise<Buffer>;
}

/** Why a secret cannot be read, in Google's words where they are known. */
export class SecretRefused extends Error {
  override readonly name = 'SecretRefused';
  readonly kind: 'denied' | 'missing' | 'unreadable';
  constructor(kind: 'denied' | 'missing' | 'unreadable', message: string) {
    super(message);
    this.kind = kind;
  }
}

/** For a runner that was given no reader. */
export const NO_SECRETS: SecretReader = {
  check: async () => undefined,
  read: () => Promise.reject(new SecretRefused('unreadable', 'This runner has no secrets.')),
};

const LATEST = 'latest';
/** Of files without a mode of their own. Source: the comment on SecretVolumeSource.default_mode */
const DEFAULT_MODE = 0o444;
/** What no file of a secret has, whatever its mode says: the volume is for reading. */
const WRITE_BITS = 0o222;

interface Place {
  readonly reference: SecretReference;
  /** As errors name it; recorded of jobs: https://github.com/hashicorp/terraform-provider-google/issues/15088 */
  path(kind: SecretRefused['kind']): string;
}
interface EnvPlace extends Place {
  readonly container: number;
  readonly name: string;
}
interface FilePlace extends Place {
  readonly volume: string;
  readonly file: string;
  readonly mode: number;
}

/** Environment variables that come from secrets. Of several with one name the last counts, as for others. */
function envPlaces({ containers }: TaskTemplate): EnvPlace[] {
  return containers.flatMap(({ env }, container) =>
    env.flatMap((variable, index): EnvPlace[] => {
      const reference = variable.values.case === 'valueSource' ? variable.values.value.secretKeyRef : undefined;
      if (reference === undefined || env.findLastIndex(({ name }) => name === variable.name) !== index) return [];
      const path = (kind: SecretRefused['kind']) => `spec.template.spec.containers[${container}].env[${index}].value_from.secret_key_ref.${kind === 'denied' ? 'name' : 'key'}`;
      return [{ container, name: variable.name, reference: { secret: reference.secret, version: reference.version || LATEST }, path }];
    }),
  );
}

function filePlaces({ volumes }: TaskTemplate): FilePlace[] {
  return volumes.flatMap(({ name, volumeType }, index) => (volumeType.case === 'secret' ? filesOf(volumeType.value, name, `spec.template.spec.volumes[${index}].secret`) : []));
}

/** Without items the volume has the newest version in a file that is called like the secret. */
function filesOf({ secret, items, defaultMode }: SecretVolumeSource, volume: string, path: string): FilePlace[] {
  const modeOf = (mode: number) => (mode || defaultMode || DEFAULT_MODE) & ~WRITE_BITS;
  if (items.length === 0) return [{ volume, file: lastId(secret), mode: modeOf(0), reference: { secret, version: LATEST }, path: () => `${path}.secret_name` }];
  return items.map((item, at) => ({
    volume,
    file: item.path,
    mode: modeOf(item.mode),
    reference: { secret, version: item.version || LATEST },
    path: () => `${path}.items[${at}].key`,
  }));
}

export function hasSecretVolume(template: TaskTemplate): boolean {
  return template.volumes.some(({ volumeType }) => volumeType.case === 'secret');
}

/** The first secret of a template that could not be read now, in a sentence that names its place. */
export async function findUnreadableSecret(reader: SecretReader, user: SecretUser, template: TaskTemplate): Promise<SecretRefused | undefined> {
  for (const { reference, path } of [...envPlaces(template), ...filePlaces(template)]) {
    try {
      await reader.check(user, reference);
    } catch (error) {
      return atPlace(error, path);
    }
  }
  return undefined;
}

/** @returns how to make a specification whole; undefined where the template has no secrets */
export function secretFiller(reader: SecretReader, user: SecretUser, template: TaskTemplate): ((spec: AttemptSpec) => Promise<AttemptSpec>) | undefined {
  const [variables, files] = [envPlaces(template), filePlaces(template)];
  if (variables.length === 0 && files.length === 0) return undefined;
  return async (spec) => {
    // One version that is named twice is read once.
    const known = new Map<string, Promise<Buffer>>();
    const read = async ({ reference, path }: Place): Promise<Buffer> => {
      const key = JSON.stringify([reference.secret, reference.version]);
      const reading = known.get(key) ?? reader.read(user, reference);
      known.set(key, reading);
      return reading.catch((error: unknown) => Promise.reject(atPlace(error, path)));
    };
    const values = new Map<string, string>();
    for (const place of variables) values.set(`${place.container} ${place.name}`, await textOf(place, read));
    const contents: (FilePlace & { readonly data: Buffer })[] = [];
    for (const place of files) contents.push({ ...place, data: await read(place) });
    return {
      ...spec,
      containers: spec.containers.map((container, index) => ({
        ...container,
        env: container.env.map(({ name, value }) => ({ name, value: values.get(`${index} ${name}`) ?? value })),
      })),
      files: [...new Set(contents.map(({ volume }) => volume))].map(
        (name): FilesVolume => ({ name, files: contents.filter(({ volume }) => volume === name).map(({ file, mode, data }) => ({ path: file, mode, data })) }),
      ),
    };
  };
}

/** An environment holds text without the NUL character. */
async function textOf(place: EnvPlace, read: (place: Place) => Promise<Buffer>): Promise<string> {
  const data = await read(place);
  const text = data.toString('utf8');
  if (text.includes('\0') || !Buffer.from(text).equals(data))
    throw new SecretRefused('unreadable', `${place.path('unreadable')}: The secret of environment variable ${place.name} is not text. Mount it as a volume.`);
  return text;
}

/** What is no refusal goes on as it is. */
function atPlace(error: unknown, path: Place['path']): SecretRefused {
  if (!(error instanceof SecretRefused)) throw error;
  return new SecretRefused(error.kind, `${path(error.kind)}: ${error.message}`);
}
