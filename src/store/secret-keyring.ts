/**
 * The key-encryption keys that payloads of secrets are kept under: one to write with, and those before it until nothing needs them any more. They stand in
 * a file (0600), one a line in base64, the one to write with first; or the environment gives them in the same order, with commas between.
 *
 * Invariant: a key is on the disk before anything is encrypted with it, and is removed only when nothing is.
 * Must not know: what is encrypted, and where.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { KEY_BYTES, type WrappingKey, wrappingKey } from './payload-cipher.ts';

/** The keys cannot be used. The message is for people, and never holds a key. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError';
}

export interface SecretKeyring {
  /** Where the keys come from, for messages: a file's path, or the environment's variable. */
  readonly source: string;
  /** The key to write with; where there is none yet it is made, and written first. */
  current(): WrappingKey;
  find(id: string): WrappingKey | undefined;
  /** Ids, the one to write with first. */
  ids(): readonly string[];
  /** Makes a key that is written with from now on; the others stay. @throws KeyringError where the keys are not this program's to change */
  add(): WrappingKey;
  /** Forgets every key but the one to write with and those named. Keys of the environment are kept: who gave them removes them. */
  retain(ids: ReadonlySet<string>): void;
}

/**
 * @param file where the keys stand; it need not exist
 * @param given the keys instead, `KEY[,OLDER...]`, and the name of the setting that holds them
 * @throws KeyringError for a file or text that holds something else, or a file that others can read
 */
export function openKeyring(file: string, given?: { readonly keys: string; readonly setting: string }): SecretKeyring {
  const source = given?.setting ?? file;
  let keys = given === undefined ? readKeys(file) : parseKeys(given.keys.split(','), source);
  const keep = (next: readonly WrappingKey[]): void => {
    writeKeys(file, next, keys.length === 0);
    keys = next;
  };
  const make = (): WrappingKey => {
    const made = wrappingKey(randomBytes(KEY_BYTES));
    keep([made, ...keys]);
    return made;
  };
  return {
    source,
    current: () => keys[0] ?? make(),
    find: (id) => keys.find((key) => key.id === id),
    ids: () => keys.map(({ id }) => id),
    add() {
      if (given !== undefined)
        throw new KeyringError(
          `The keys are given by ${source}. Put a new one before them (NEW,OLD) and start again: what is stored is then wrapped anew, and the old one can go.`,
        );
      return make();
    },
    retain(ids) {
      const next = keys.filter(({ id }, index) => index === 0 || ids.has(id));
      if (given === undefined && next.length < keys.length) keep(next);
    },
  };
}

function readKeys(file: string): readonly WrappingKey[] {
  let text: string;
  try {
    const { mode } = statSync(file);
    if ((mode & 0o077) !== 0) throw new KeyringError(`The key file of secrets, ${file}, can be read by others (mode ${(mode & 0o777).toString(8)}). Run: chmod 600 ${file}`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof KeyringError) throw error;
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new KeyringError(`The key file of secrets, ${file}, cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return parseKeys(text.trim().split(/\s*\n\s*/), `the key file ${file}`);
}

function parseKeys(lines: readonly string[], source: string): readonly WrappingKey[] {
  return lines.map((line, index) => {
    const bytes = Buffer.from(line.trim(), 'base64');
    if (bytes.length !== KEY_BYTES || !/^[A-Za-z0-9+/_-]{43}=?$/.test(line.trim()))
      throw new KeyringError(`Key ${index + 1} of ${source} is not one: each must be ${KEY_BYTES} bytes in base64, as \`openssl rand -base64 ${KEY_BYTES}\` prints.`);
    return wrappingKey(bytes);
  });
}

/** Whole or not at all, and on the disk when it returns. @param isFirst a file that is there already must not be lost to a mistake about where it is */
function writeKeys(file: string, keys: readonly WrappingKey[], isFirst: boolean): void {
  const draft = isFirst ? file : `${file}.${process.pid}.tmp`;
  try {
    const handle = openSync(draft, constants.O_WRONLY | constants.O_CREAT | (isFirst ? constants.O_EXCL : constants.O_TRUNC), 0o600);
    try {
      writeSync(handle, keys.map(({ bytes }) => `${bytes.toString('base64')}\n`).join(''));
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    if (!isFirst) renameSync(draft, file);
    const directory = openSync(dirname(file), constants.O_RDONLY);
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  } catch (error) {
    if (!isFirst) rmSync(draft, { force: true });
    throw new KeyringError(`The key file of secrets, ${file}, cannot be written: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
