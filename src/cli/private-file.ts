/** Files for their owner's eyes alone: keys, credentials. */
import { closeSync, fchmodSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { failure } from './failure.ts';

/** Written with mode 0600, which a file that is there already gets before anything of the secret is in it. @throws CliFailure */
export function writePrivateFile(file: string, content: string | Uint8Array): void {
  try {
    const handle = openSync(file, 'w', 0o600);
    try {
      fchmodSync(handle, 0o600);
      const bytes = typeof content === 'string' ? Buffer.from(content) : content;
      for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    throw failure(`Cannot write ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** @param what for the words: `key file` @throws CliFailure */
export function readBytes(file: string, what: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw failure(`Cannot read the ${what} ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** @returns whether there was one */
export function removeFile(file: string): boolean {
  try {
    rmSync(file);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw failure(`Cannot remove ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
