/** `--env-vars-file`: variables from a file, which stand for `--set-env-vars`. */
import { readFile } from 'node:fs/promises';
import { readDocument } from '../documents.ts';
import { failure } from '../failure.ts';
import { isRecord } from '../json.ts';
import type { Session } from '../session.ts';
import type { ContainerFlags } from './container-flags.ts';
import type { ContainerScope } from './container-scopes.ts';

/** @returns the flags with what the files hold in the place of their names @throws failure where a file cannot be read, or a value is no text */
export async function withEnvFiles<F extends ContainerFlags & { readonly containers?: readonly ContainerScope<ContainerFlags>[] }>(session: Session, flags: F): Promise<F> {
  const containers = flags.containers && (await Promise.all(flags.containers.map(async ({ name, flags: own }) => ({ name, flags: await withFile(session, own) }))));
  return { ...(await withFile(session, flags)), ...(containers === undefined ? {} : { containers }) };
}

async function withFile<F extends ContainerFlags>(session: Session, flags: F): Promise<F> {
  const { envVarsFile: file } = flags;
  if (file === undefined) return flags;
  return { ...flags, setEnvVars: file.endsWith('.env') ? await readLines(file) : await readYaml(session, file) };
}

async function readYaml(session: Session, file: string): Promise<ReadonlyMap<string, string>> {
  const document = (await readDocument(session, file)) ?? {};
  if (!isRecord(document)) throw failure(`${file} does not hold variables.`, 'Write a line for each:  KEY: "value"');
  return new Map(
    Object.entries(document).map(([key, value]) => {
      // As gcloud: whether 010 or 8 was meant, and yes or true, the file must say.
      if (typeof value !== 'string') throw failure(`${file}: the value of ${key} is ${JSON.stringify(value)}, and must be a string.`, `Put it in quotes:  ${key}: "..."`);
      return [key, value];
    }),
  );
}

async function readLines(file: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw failure(`Cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  });
  // Node's own reader of such files: quotes, comments, `export`. Loaded here, where it is used.
  const { parseEnv } = await import('node:util');
  return new Map(Object.entries(parseEnv(text)).map(([key, value]) => [key, value ?? '']));
}
