/**
 * The flags about secrets of one container. A key that begins with a slash is a file, `/DIRECTORY/FILE`; every other key is an environment variable.
 * What they change is what gcloud changes: a directory holds the files of one secret, a volume that two containers or directories share is not changed for
 * both, and volumes that nothing mounts any more go.
 * Source: command_lib/run/config_changes.py and secrets_mapping.py of gcloud 528.
 */
import { createHash } from 'node:crypto';
import { InvalidArgumentError, Option } from 'commander';
import { failure } from '../failure.ts';
import { collectList, collectPairs } from '../values.ts';
import type { Container, TaskTemplate, Volume } from './shapes.ts';

export interface SecretReference {
  /** Its id, or in full where it is of another project. */
  readonly secret: string;
  readonly version: string;
}

export interface SecretFlags {
  readonly setSecrets?: ReadonlyMap<string, SecretReference>;
  readonly updateSecrets?: ReadonlyMap<string, SecretReference>;
  readonly removeSecrets?: readonly string[];
  readonly clearSecrets?: boolean;
}

type SecretVolume = NonNullable<Volume['secret']>;

export function secretOptions(): Option[] {
  return [
    new Option('--set-secrets <pairs>', 'secrets, VARIABLE=SECRET:VERSION or /DIRECTORY/FILE=SECRET:VERSION,...; replaces all')
      .argParser(collectSecrets)
      .conflicts(['updateSecrets', 'removeSecrets', 'clearSecrets']),
    new Option('--update-secrets <pairs>', 'sets these secrets, keeps the others').argParser(collectSecrets),
    new Option('--remove-secrets <keys>', 'removes the secrets of these variables and files').argParser(collectList),
    new Option('--clear-secrets', 'removes all secrets').conflicts(['updateSecrets', 'removeSecrets']),
  ];
}

function collectSecrets(text: string, previous: ReadonlyMap<string, SecretReference> | undefined): ReadonlyMap<string, SecretReference> {
  const secrets = new Map(previous);
  for (const [key, value] of collectPairs(text, undefined)) {
    const reference = /^(?<secret>projects\/[^/\s]+\/secrets\/[\w-]{1,255})(?:(?::|\/versions\/)(?<version>.+))?$/.exec(value)?.groups;
    const local = /^(?<secret>[\w-]{1,255}):(?<version>[^:]+)$/.exec(value)?.groups;
    if (reference !== undefined) secrets.set(fileKey(key), { secret: reference['secret'] ?? '', version: reference['version'] ?? 'latest' });
    else if (local !== undefined) secrets.set(fileKey(key), { secret: local['secret'] ?? '', version: local['version'] ?? '' });
    else
      throw new InvalidArgumentError(
        `'${value}' names no version of a secret for ${key}. Write ${key}=SECRET:latest, or projects/PROJECT/secrets/SECRET:VERSION for another project's.`,
      );
  }
  return secrets;
}

function fileKey(key: string): string {
  if (!key.startsWith('/')) return key;
  const [, ...segments] = key.split('/');
  if (segments.length < 2 || segments.some((segment) => segment === '' || segment === '.' || segment === '..'))
    throw new InvalidArgumentError(`'${key}' is not the path of a file in a directory: /DIRECTORY/FILE`);
  return key;
}

/** Changes a container's secrets in place, and the task's volumes. @throws failure where a flag contradicts what is there */
export function applySecretFlags(task: TaskTemplate, container: Container, flags: SecretFlags): void {
  const { setSecrets, updateSecrets, removeSecrets = [], clearSecrets } = flags;
  if (setSecrets === undefined && updateSecrets === undefined && removeSecrets.length === 0 && clearSecrets !== true) return;
  const updates = [...(setSecrets ?? []), ...(updateSecrets ?? [])];
  const clear = setSecrets !== undefined || clearSecrets === true;
  const isFile = (key: string): boolean => key.startsWith('/');
  changeVariables(
    container,
    updates.filter(([key]) => !isFile(key)),
    clear ? 'all' : removeSecrets.filter((key) => !isFile(key)),
  );
  changeFiles(
    task,
    container,
    updates.filter(([key]) => isFile(key)),
    clear ? 'all' : removeSecrets.filter(isFile),
  );
}

type Update = readonly [key: string, reference: SecretReference];

function changeVariables(container: Container, updates: readonly Update[], removed: readonly string[] | 'all'): void {
  const kept = (container.env ?? []).filter(({ name = '', valueSource }) => valueSource?.secretKeyRef === undefined || (removed !== 'all' && !removed.includes(name)));
  for (const [name, secretKeyRef] of updates) {
    const at = kept.findIndex((variable) => variable.name === name);
    const before = kept[at];
    if (before !== undefined && before.valueSource?.secretKeyRef === undefined)
      throw failure(`The variable [${name}] has a literal value, and cannot become a secret at once.`, `Remove it first:  --remove-env-vars=${name}`);
    if (before === undefined) kept.push({ name, valueSource: { secretKeyRef: { ...secretKeyRef } } });
    else kept[at] = { name, valueSource: { secretKeyRef: { ...secretKeyRef } } };
  }
  if (kept.length > 0 || container.env !== undefined) container.env = kept;
}

function changeFiles(task: TaskTemplate, container: Container, updates: readonly Update[], removed: readonly string[] | 'all'): void {
  const volumes = new Map((task.volumes ?? []).map((volume) => [volume.name ?? '', volume]));
  const secretAt = (directory: string): { name: string; secret: SecretVolume } | undefined => {
    const name = container.volumeMounts?.find(({ mountPath }) => mountPath === directory)?.name ?? '';
    const secret = volumes.get(name)?.secret;
    return secret === undefined ? undefined : { name, secret };
  };
  const put = (directory: string, secret: SecretVolume): void => {
    const before = secretAt(directory);
    if (before === undefined && container.volumeMounts?.some(({ mountPath }) => mountPath === directory) === true)
      throw failure(`At [${directory}] a volume of another kind is mounted.`, `Take it away first:  --remove-volume-mount=${directory}`);
    const isShared = before !== undefined && mountsOf(task, before.name) > 1;
    const name = before === undefined || isShared ? newName(volumes, secret.secret ?? '', container.name ?? '', directory) : before.name;
    volumes.set(name, { name, secret });
    const mounts = (container.volumeMounts ?? []).filter(({ mountPath }) => mountPath !== directory);
    if (before === undefined || isShared) container.volumeMounts = [...mounts, { name, mountPath: directory }];
  };
  if (removed === 'all') container.volumeMounts = container.volumeMounts?.filter(({ name = '' }) => volumes.get(name)?.secret === undefined);
  else
    for (const path of removed) {
      const [directory, file] = splitPath(path);
      const before = secretAt(directory);
      if (before === undefined) continue;
      const items = (before.secret.items ?? []).filter((item) => item.path !== file);
      if (items.length > 0) put(directory, { ...before.secret, items });
      else container.volumeMounts = container.volumeMounts?.filter(({ mountPath }) => mountPath !== directory);
    }
  for (const [directory, secret] of directoriesOf(updates)) put(directory, merged(secretAt(directory)?.secret, secret, directory));
  if (container.volumeMounts === undefined) delete container.volumeMounts;
  const mounted = new Set((task.containers ?? []).concat(container).flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name ?? '')));
  const kept = [...volumes.values()].filter(({ name = '', secret }) => secret === undefined || mounted.has(name));
  if (kept.length > 0 || task.volumes !== undefined) task.volumes = kept;
}

/** Each directory with what the flags say of it. */
function directoriesOf(updates: readonly Update[]): Map<string, SecretVolume> {
  const found = new Map<string, SecretVolume>();
  for (const [path, { secret, version }] of updates) {
    const [directory, file] = splitPath(path);
    const before = found.get(directory);
    if (before !== undefined && before.secret !== secret) throw oneSecret(directory);
    found.set(directory, { secret, items: [...(before?.items ?? []), { path: file, version }] });
  }
  return found;
}

/** Of the same secret, files that are not named again stay; another secret must replace all of them. */
function merged(before: SecretVolume | undefined, after: SecretVolume, directory: string): SecretVolume {
  const others = (before?.items ?? []).filter(({ path }) => !(after.items ?? []).some((item) => item.path === path));
  if (before === undefined) return after;
  if (before.secret !== after.secret) {
    if (others.length > 0) throw oneSecret(directory);
    return after;
  }
  return { ...after, items: [...(after.items ?? []), ...others] };
}

function oneSecret(directory: string): Error {
  return failure(`A directory holds files of one secret, and [${directory}] would hold those of two.`, 'Give each secret a directory of its own.');
}

function splitPath(path: string): [directory: string, file: string] {
  const at = path.lastIndexOf('/');
  return [path.slice(0, at), path.slice(at + 1)];
}

function mountsOf(task: TaskTemplate, volume: string): number {
  return (task.containers ?? []).flatMap(({ volumeMounts = [] }) => volumeMounts).filter(({ name }) => name === volume).length;
}

/** The same for the same secret at the same place, so that the same command gives the same job. */
function newName(taken: ReadonlyMap<string, unknown>, secret: string, container: string, directory: string): string {
  const id = (secret.split('/').at(-1) ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^[^a-z]+|-+$/g, '')
    .slice(0, 40);
  for (let turn = 0; ; turn += 1) {
    const name = `${id === '' ? 'secret' : id}-${createHash('sha256')
      .update(JSON.stringify([container, directory, secret, turn]))
      .digest('hex')
      .slice(0, 8)}`;
    if (!taken.has(name)) return name;
  }
}
