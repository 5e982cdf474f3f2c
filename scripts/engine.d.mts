/** Types of engine.mjs, which is plain JavaScript because it runs before anything is installed. */
export interface Engine {
  /** `unix:///...`, for DOCKER_HOST. */
  readonly dockerHost: string;
  /** Whether it was started here; then `stop` ends it, else `stop` does nothing. */
  readonly started: boolean;
  stop(): Promise<void>;
}
export function ensureEngine(options?: { readonly log?: (line: string) => void; readonly install?: boolean; readonly env?: NodeJS.ProcessEnv }): Promise<Engine>;
/** An engine whose network this host has no part in. Linux, root. */
export function startEngineApart(options?: { readonly log?: (line: string) => void }): Promise<Engine>;
export function findEngine(env?: NodeJS.ProcessEnv): Promise<{ readonly dockerHost: string; readonly from: string } | undefined>;
