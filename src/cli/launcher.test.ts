/** bin/actas.js as it is installed: exit codes, signals, and that it asks for the right Node. */
import { execFile, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const launcher = fileURLToPath(new URL('../../bin/actas.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'actas-launcher-'));
afterAll(() => rmSync(directory, { recursive: true }));

function start(file: string, args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [file, ...args], (_error, out, err) => resolve({ code: child.exitCode, out, err }));
  });
}

/** A package with a program of its own in the given place, beside a copy of the launcher. */
function pack(root: string, place: 'dist' | 'src', program: string): string {
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, place, 'cli'), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
  copyFileSync(launcher, join(root, 'bin', 'actas.js'));
  writeFileSync(join(root, place, 'cli', place === 'dist' ? 'main.js' : 'main.ts'), program);
  return join(root, 'bin', 'actas.js');
}

describe('the launcher', () => {
  it('runs the program and hands its exit code on', async () => {
    expect(await start(launcher, ['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d/) });
    expect(await start(launcher, ['nonsense'])).toMatchObject({ code: 2, err: expect.stringContaining("unknown command 'nonsense'") });
  });

  it('runs the source in a clone, and what was compiled where it is installed', async () => {
    const clone = join(directory, 'clone');
    pack(clone, 'dist', "console.log('compiled')");
    expect((await start(pack(clone, 'src', "console.log('source')"), [])).out).toBe('source\n');
    const installed = join(directory, 'node_modules', 'actas');
    pack(installed, 'src', "console.log('source')");
    expect((await start(pack(installed, 'dist', "console.log('compiled')"), [])).out).toBe('compiled\n');
  });

  it('says what is missing where nothing is installed', async () => {
    const file = pack(join(directory, 'empty'), 'src', '');
    rmSync(join(directory, 'empty', 'src'), { recursive: true });
    expect(await start(file, [])).toMatchObject({ code: 1, err: expect.stringContaining('The program is missing') });
  });

  it('passes signals on', async () => {
    const file = pack(
      join(directory, 'signals'),
      'src',
      "process.on('SIGTERM', () => { console.log('bye'); process.exit(7); }); setInterval(() => {}, 1000); console.log('ready');",
    );
    const child = spawn(process.execPath, [file, 'up'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    const code = await new Promise((resolve) => {
      child.stdout.on('data', (chunk) => {
        out += String(chunk);
        if (out.includes('ready\n')) child.kill('SIGTERM');
      });
      child.on('close', resolve);
    });
    expect({ code, out }).toEqual({ code: 7, out: 'ready\nbye\n' });
  });
});
