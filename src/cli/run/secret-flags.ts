/**
 * The flags about secrets of one container, in gcloud's grammar: `--set-secrets=PASSWORD=db:latest,/keys/key=db:1`. What begins with a slash is a
 * file: its folder is where a volume of that secret is mounted.
 */
import { posix } from 'node:path';
import { Option } from 'commander';
import { usageFailure } from '../failure.ts';
import { collectList, collectPairs } from '../values.ts';
import type { Container, TaskTemplate, Volume } from './shapes.ts';

export interface SecretFlags {
  readonly setSecrets?: ReadonlyMap<string, string>;
  readonly updateSecrets?: ReadonlyMap<string, string>;
  /** Names of variables, and paths of files. */
  readonly removeSecrets?: readonly string[];
  readonly clearSecrets?: boolean;
}

/** @param changes whether the job may exist already, so that there may be something to remove */
export function secretOptions(changes: boolean): Option[] {
  return [
    new Option('--set-secrets <pairs>', 'secrets, VARIABLE=SECRET:VERSION or /FOLDER/FILE=SECRET:VERSION,...; replaces all')
      .argParser(collectPairs)
      .conflicts(['updateSecrets', 'removeSecrets', 'clearSecrets']),
    new Option('--update-secrets <pairs>', 'sets these secrets, keeps the others').argParser(collectPairs),
    ...(changes
      ? [new Option('--remove-secrets <names>', 'removes these secrets, by variable or path').argParser(collectList), new Option('--clear-secrets', 'removes all secrets')]
      : []),
  ];
}

interface Reference {
  readonly secret: string;
  readonly version: string;
}

/** Changes a container and its task's volumes in place. @throws usage */
export function applySecretFlags(task: TaskTemplate, container: Container, flags: SecretFlags): void {
  const { setSecrets, updateSecrets, removeSecrets = [], clearSecrets } = flags;
  const wanted = [...(setSecrets ?? []), ...(updateSecrets ?? [])].map(([target, text]) => ({ target, reference: parseReference(text) }));
  if (setSecrets !== undefined || clearSecrets === true) removeAll(task, container);
  for (const target of removeSecrets) remove(task, container, target);
  for (const { target, reference } of wanted) {
    if (target.startsWith('/')) addFile(task, container, target, reference);
    else container.env = [...(container.env ?? []).filter(({ name }) => name !== target), { name: target, valueSource: { secretKeyRef: { ...reference } } }];
  }
}

/** `SECRET:VERSION`, the secret by its id or in full. */
function parseReference(text: string): Reference {
  const { secret, version } = /^(?<secret>(?:projects\/[^/:]+\/secrets\/)?[A-Za-z0-9_-]+):(?<version>[A-Za-z0-9_-]+)$/.exec(text)?.groups ?? {};
  if (secret === undefined || version === undefined)
    throw usageFailure(`'${text}' is not a version of a secret.`, 'Write SECRET:VERSION, for example db-password:latest or projects/PROJECT/secrets/SECRET:3');
  return { secret, version };
}

function removeAll(task: TaskTemplate, container: Container): void {
  if (container.env !== undefined) container.env = container.env.filter(({ valueSource }) => valueSource === undefined);
  const secrets = new Set((task.volumes ?? []).flatMap((volume) => (volume.secret === undefined ? [] : [volume.name])));
  if (container.volumeMounts !== undefined) container.volumeMounts = container.volumeMounts.filter(({ name }) => !secrets.has(name));
  dropUnmounted(task);
}

function remove(task: TaskTemplate, container: Container, target: string): void {
  if (!target.startsWith('/')) {
    container.env = (container.env ?? []).filter(({ name, valueSource }) => name !== target || valueSource === undefined);
    return;
  }
  const volume = volumeAt(task, container, posix.dirname(target));
  if (volume?.secret === undefined) return;
  volume.secret.items = itemsOf(volume).filter(({ path }) => path !== posix.basename(target));
  if (volume.secret.items.length > 0) return;
  container.volumeMounts = (container.volumeMounts ?? []).filter(({ name }) => name !== volume.name);
  dropUnmounted(task);
}

function addFile(task: TaskTemplate, container: Container, target: string, { secret, version }: Reference): void {
  const [folder, path] = [posix.dirname(target), posix.basename(target)];
  const mounted = volumeAt(task, container, folder);
  if (mounted === undefined) {
    const name = newName(task, secret);
    task.volumes = [...(task.volumes ?? []), { name, secret: { secret, items: [{ version, path }] } }];
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, mountPath: folder }];
  } else if (mounted.secret?.secret !== secret)
    throw usageFailure(
      `${folder} holds [${mounted.secret?.secret ?? mounted.name ?? ''}] already, and a folder can hold one secret alone.`,
      'Put the other one into another folder.',
    );
  else mounted.secret.items = [...itemsOf(mounted).filter((item) => item.path !== path), { version, path }];
}

function volumeAt(task: TaskTemplate, container: Container, folder: string): Volume | undefined {
  const mount = (container.volumeMounts ?? []).find(({ mountPath }) => mountPath?.replace(/(?<=.)\/$/, '') === folder);
  return mount === undefined ? undefined : (task.volumes ?? []).find(({ name }) => name === mount.name);
}

/** Without items a volume has the newest version in a file that is called like the secret. */
function itemsOf({ secret }: Volume) {
  return secret?.items ?? [{ version: 'latest', path: posix.basename(secret?.secret ?? '') }];
}

function newName(task: TaskTemplate, secret: string): string {
  const taken = new Set((task.volumes ?? []).map(({ name }) => name));
  const base = `secret-${posix.basename(secret).toLowerCase().replaceAll('_', '-').slice(0, 40)}`.replace(/-+$/, '');
  for (let count = 1; ; count += 1) if (!taken.has(`${base}-${count}`)) return `${base}-${count}`;
}

/** Secrets that no container mounts any more. */
function dropUnmounted(task: TaskTemplate): void {
  const used = new Set((task.containers ?? []).flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name)));
  if (task.volumes !== undefined) task.volumes = task.volumes.filter(({ name, secret }) => secret === undefined || used.has(name));
}
