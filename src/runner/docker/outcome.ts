/**
 * When an attempt of one or more containers is over, and which container decides how it ended. Pure.
 *
 * Deviation: what Cloud Run does when the containers of a job's task end apart is not documented. Here a container that fails ends the attempt with its
 * exit; otherwise the attempt is over when all containers that no other one depends on have ended, with the last one's exit. The containers that others depend on
 * (proxies, collectors) are then stopped, and their exit codes do not count.
 */
import type { AttemptExit, ContainerSpec } from '../driver.ts';

export interface ContainerExit {
  readonly container: string;
  readonly exit: Omit<AttemptExit, 'id'>;
}

/** The exit that decided, or undefined while the attempt is not over. @param exits in any order: they are looked at as they happened */
export function decide(containers: readonly Pick<ContainerSpec, 'name' | 'dependsOn'>[], exits: readonly ContainerExit[]): ContainerExit | undefined {
  const needed = new Set(containers.flatMap((container) => container.dependsOn));
  const waitingFor = new Set(containers.map((container) => container.name).filter((name) => !needed.has(name)));
  for (const exit of [...exits].sort((a, b) => a.exit.finishedAtMs - b.exit.finishedAtMs)) {
    if (!isSuccess(exit)) return exit;
    waitingFor.delete(exit.container);
    if (waitingFor.size === 0) return exit;
  }
  return undefined;
}

function isSuccess({ exit }: ContainerExit): boolean {
  return exit.cause === 'exited' && exit.exitCode === 0;
}

const SIGNAL_BASE = 128;
const LAST_SIGNAL = 31;

/**
 * The engine's exit code as code or signal. The engine tells a signal as 128 + n, as a shell does for its children, and says no more: a program
 * that ends with exit code 137 by itself looks the same.
 */
export function codeOrSignal(code: number): { readonly exitCode: number } | { readonly signal: number } {
  return code > SIGNAL_BASE && code <= SIGNAL_BASE + LAST_SIGNAL ? { signal: code - SIGNAL_BASE } : { exitCode: code };
}
