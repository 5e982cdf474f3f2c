/** What a running control plane leaves for others to find it by: `server.json` in its data directory, and the ready file. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface StatusFiles {
  readonly dataDir: string;
  readonly readyFile?: string | undefined;
}

/** Before anything is started: whoever waits for the ready file must not find the one of an earlier run. */
export function retract({ dataDir, readyFile }: StatusFiles): void {
  rmSync(join(dataDir, 'server.json'), { force: true });
  if (readyFile !== undefined) rmSync(readyFile, { force: true });
}

/** Once the API serves. @throws Error where the ready file cannot be written */
export function announce({ dataDir, readyFile }: StatusFiles, facts: { readonly url: string; readonly tokenFile: string; readonly pid: number }): void {
  writePrivate(join(dataDir, 'server.json'), `${JSON.stringify({ url: facts.url, pid: facts.pid })}\n`);
  if (readyFile !== undefined) writePrivate(readyFile, `${JSON.stringify({ url: facts.url, tokenFile: facts.tokenFile })}\n`);
}

/** Whole or not at all, and never readable by others in between. @throws Error that names the file */
export function writePrivate(file: string, text: string): void {
  const draft = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(draft, text, { mode: 0o600 });
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw new Error(`${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
