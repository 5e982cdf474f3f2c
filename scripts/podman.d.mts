/** See podman.mjs. */
export function startPodman(options?: { log?: (line: string) => void; install?: boolean }): Promise<{ readonly dockerHost: string; stop(): Promise<void> }>;
