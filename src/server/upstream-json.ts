/** The names in a JSON body that a method's permissions depend on. What is passed on is what was read, written anew: two readers of one text can differ, of this one they do not. */
import type { IncomingMessage } from 'node:http';
import { cancelled, invalidRequest } from '../errors.ts';
import { MAX_BODY_BYTES } from './rest.ts';

export interface JsonBody {
  readonly bytes: Buffer;
  readonly names: ReadonlyMap<string, readonly string[]>;
}

/** @param fields variable -> paths in the body, `writes.update.name`; lists are looked through @throws INVALID_ARGUMENT */
export async function readJsonBody(request: IncomingMessage, fields: ReadonlyMap<string, readonly string[]>): Promise<JsonBody> {
  const { 'content-encoding': encoding = 'identity' } = request.headers;
  if (encoding !== 'identity') throw invalidRequest(`content-encoding: must be identity, but is ${JSON.stringify(encoding)}.`);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      // Node's HTTP servers hand out Buffers unless an encoding was set.
      const buffer = chunk as Buffer;
      size += buffer.length;
      if (size > MAX_BODY_BYTES) throw invalidRequest(`Request payload size exceeds the limit: ${MAX_BODY_BYTES} bytes.`);
      chunks.push(buffer);
    }
  } catch (error) {
    if (request.destroyed && !request.complete) throw cancelled('The caller went away.');
    throw error;
  }
  if (size === 0) return { bytes: Buffer.alloc(0), names: new Map() };
  const value = parse(chunks);
  const names = new Map([...fields].map(([name, paths]) => [name, paths.flatMap((path) => stringsIn(value, path.split('.')))]));
  return { bytes: Buffer.from(JSON.stringify(value)), names };
}

function parse(chunks: readonly Buffer[]): unknown {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
    return value;
  } catch (error) {
    throw invalidRequest(`Invalid JSON payload received. ${error instanceof Error ? error.message : 'It cannot be parsed.'}`);
  }
}

function stringsIn(value: unknown, path: readonly string[]): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((item) => stringsIn(item, path));
  const [field, ...below] = path;
  if (field === undefined) return typeof value === 'string' && value !== '' ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value)
    .filter(([key]) => spelled(key) === field)
    .flatMap(([, item]) => stringsIn(item, below));
}

/** JSON of protos has both spellings, `schema_settings` and `schemaSettings`. */
function spelled(key: string): string {
  return key.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}
