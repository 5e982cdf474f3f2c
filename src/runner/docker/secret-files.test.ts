import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AttemptSpec } from '../driver.ts';
import { createSecretFiles, fileMounts, secretFilesRoot, whyNoFiles } from './secret-files.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'actas-files-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const data = Buffer.from('payload');
const attempt = (id: string): AttemptSpec => ({
  id,
  labels: {},
  containers: [],
  volumes: [],
  hosts: [],
  interceptGoogle: false,
  files: [
    {
      name: 'keys',
      files: [
        { path: 'a/b/key', mode: 0o400, data },
        { path: 'top', mode: 0o444, data },
      ],
    },
  ],
});
const modeOf = (...path: string[]) => statSync(join(directory, ...path)).mode & 0o777;

describe('files in memory', () => {
  test('are below a directory that is ours alone, with their own modes; what goes on to the engine has no payload', async () => {
    const root = join(directory, 'root');
    const files = createSecretFiles(root);
    const umask = process.umask(0o077);
    const placed = await files.place(attempt('t-0')).finally(() => process.umask(umask));
    expect(placed.files).toEqual([{ name: 'keys', files: [] }]);
    expect([modeOf('root'), modeOf('root', 't-0'), modeOf('root', 't-0', 'keys'), modeOf('root', 't-0', 'keys', 'a', 'b')]).toEqual([0o700, 0o700, 0o755, 0o755]);
    expect([modeOf('root', 't-0', 'keys', 'a', 'b', 'key'), modeOf('root', 't-0', 'keys', 'top')]).toEqual([0o400, 0o444]);
    expect(readFileSync(join(root, 't-0', 'keys', 'top'), 'utf8')).toBe('payload');
    // A second try finds the first.
    await files.place(attempt('t-0'));
    await files.remove('t-0');
    await files.remove('t-0');
    expect(existsSync(join(root, 't-0'))).toBe(false);
  });

  test('of attempts that nobody keeps are swept, drafts among them', async () => {
    const root = join(directory, 'root');
    const files = createSecretFiles(root);
    await files.sweep(new Set());
    for (const id of ['t-0', 't-1']) await files.place(attempt(id));
    mkdirSync(join(root, 't-2.draft'));
    await files.sweep(new Set(['t-1']));
    expect(['t-0', 't-1', 't-2.draft'].map((name) => existsSync(join(root, name)))).toEqual([false, true, false]);
  });

  test('are not put where somebody else has laid something', async () => {
    mkdirSync(join(directory, 'theirs'));
    symlinkSync(join(directory, 'theirs'), join(directory, 'root'));
    await expect(createSecretFiles(join(directory, 'root')).place(attempt('t-0'))).rejects.toThrow("is somebody else's");
  });

  test('are mounted for reading, at the paths of the containers that ask for them', () => {
    const mounts = [
      { volume: 'keys', path: '/keys' },
      { volume: 'keys', path: '/one', subPath: 'a' },
      { volume: 'scratch', path: '/scratch' },
    ];
    expect(fileMounts('/root', attempt('t-0'), { mounts })).toEqual([
      { Type: 'bind', Source: '/root/t-0/keys', Target: '/keys', ReadOnly: true },
      { Type: 'bind', Source: '/root/t-0/keys/a', Target: '/one', ReadOnly: true },
    ]);
    expect(fileMounts(undefined, attempt('t-0'), { mounts })).toEqual([]);
  });
});

test('an engine that does not share the files of this machine is told apart, and why is said', () => {
  expect(whyNoFiles('/dev/shm/x', { isLocal: true, kernel: release() })).toBeUndefined();
  for (const engine of [
    { isLocal: false, kernel: release() },
    { isLocal: true, kernel: '6.6.0-linuxkit' },
    { isLocal: true, kernel: undefined },
  ])
    expect(whyNoFiles('/dev/shm/x', engine)).toContain('does not share the files of this machine');
  expect(whyNoFiles(undefined, { isLocal: true, kernel: release() })).toContain('tmpfs');
  // A directory on a disk is not taken.
  expect(secretFilesRoot('s', { XDG_RUNTIME_DIR: join(import.meta.dirname) })).not.toContain(import.meta.dirname);
});
