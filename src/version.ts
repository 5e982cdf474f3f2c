/** The version of the package that this file belongs to, from source and from the published form alike. */
import { existsSync, readFileSync } from 'node:fs';

export function version(): string {
  // One level up from src/ and dist/, two from a chunk in a folder of dist/.
  for (const path of ['../package.json', '../../package.json']) {
    const file = new URL(path, import.meta.url);
    if (!existsSync(file)) continue;
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof parsed === 'object' && parsed !== null && 'version' in parsed && typeof parsed.version === 'string') return parsed.version;
  }
  throw new Error('The package is incomplete: its package.json is missing. Install it again.');
}
