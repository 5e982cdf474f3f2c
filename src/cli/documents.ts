/** JSON or YAML that a command reads from a file, or from stdin where the file is `-`. */
import { readFile } from 'node:fs/promises';
import { failure } from './failure.ts';
import { isJson, type Json } from './json.ts';
import type { Session } from './session.ts';

/** @throws failure where the file cannot be read, or holds something else */
export async function readDocument(session: Session, file: string): Promise<Json> {
  const { parse } = await import('yaml');
  return read(session, file, file, (text) => parse(text));
}

/** All documents of a file: YAML may hold several, parted by `---`, as gcloud prints lists. @param name of the file, for messages @throws failure */
export async function readDocuments(session: Session, file: string, name = file): Promise<readonly Json[]> {
  const { parseAllDocuments } = await import('yaml');
  const documents = await read(session, file, name, (text) => {
    const parsed = parseAllDocuments(text);
    // Of a file without documents it makes an empty stream, which is no list.
    const all = Array.isArray(parsed) ? parsed : [];
    for (const document of all) for (const error of document.errors) throw error;
    return all.map((document): unknown => document.toJS());
  });
  return Array.isArray(documents) ? documents : [];
}

async function read(session: Session, file: string, name: string, parse: (text: string) => unknown): Promise<Json> {
  try {
    const document = parse(file === '-' ? await readAll(session.io.stdin) : await readFile(file, 'utf8'));
    if (!isJson(document)) throw new TypeError('It holds something that JSON cannot.');
    return document;
  } catch (error) {
    throw failure(`Cannot read ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk.toString();
  return text;
}
