/** What a command may touch of its process, so that tests can run a whole command in theirs. */

export interface Sink {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Width in characters, where there is a terminal. */
  readonly columns: number | undefined;
  /** The stream itself, for libraries that draw on it. */
  readonly stream: NodeJS.WritableStream;
}

export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: Sink;
  readonly err: Sink;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Calls back on Ctrl-C instead of ending the process, until the returned function is called. */
  onInterrupt(listener: () => void): () => void;
}

/** In the data directory: the key file of the account that `auth activate-service-account` chose. */
export const ACTIVE_ACCOUNT_FILE = 'active-account.json';

/** The directory that a control plane keeps its data in, unless a flag says otherwise. */
export function dataDirectory(env: Io['env']): string {
  if (env['ACTAS_DATA_DIR']) return env['ACTAS_DATA_DIR'];
  const home = env['XDG_DATA_HOME'] || `${env['HOME'] || env['USERPROFILE'] || '.'}/.local/share`;
  return `${home}/actas`;
}
