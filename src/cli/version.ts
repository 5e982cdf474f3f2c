/** The version of the package that this file belongs to. */
import { readFileSync } from 'node:fs';

export function version(): string {
  // Two levels up from src/cli and from dist/cli alike.
  const parsed: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed && typeof parsed.version === 'string' ? parsed.version : '0.0.0';
}
