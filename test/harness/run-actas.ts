/** The command-line program as a user starts it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');
export const ACTAS = join(ROOT, 'bin', 'actas.js');

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Without the variables of whoever runs the tests. @param home a directory of the test's own */
export function runActas(at: { readonly dataDir: string; readonly home: string }, args: readonly string[], env: Record<string, string> = {}, timeoutMs = 60_000): Promise<Ran> {
  const own = { PATH: process.env['PATH'] ?? '', HOME: at.home, ACTAS_DATA_DIR: at.dataDir, ...env };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [ACTAS, ...args], { env: own, cwd: ROOT, timeout: timeoutMs, maxBuffer: 16 * 2 ** 20 }, (_error, out, err) =>
      resolve({ code: child.exitCode, out, err }),
    );
  });
}
