/**
 * What a fake attempt does, read from the environment of its containers. Scripts for tests, demos and CI without an engine:
 *
 * | variable | meaning |
 * |---|---|
 * | `FAKE_DURATION_MS` | how long it runs; 0 ends at once, `never` only when it is stopped. Default: the driver's |
 * | `FAKE_EXIT_CODE` | 0 to 255. Default 0 |
 * | `FAKE_SIGNAL` | ends by this signal instead of an exit code |
 * | `FAKE_FAIL_ATTEMPTS` | the first n attempts of a task fail (with `FAKE_EXIT_CODE`, or 1), the next one succeeds |
 * | `FAKE_LOG` | lines that it prints when it starts; `FAKE_LOG_STDERR` likewise |
 * | `FAKE_IGNORE_SIGTERM` | `1`: ends by SIGKILL when the grace is over |
 * | `FAKE_START_ERROR` | never starts, for this reason |
 * | `FAKE_OUT_OF_MEMORY` | `1`: is killed for its memory |
 */
import type { AttemptSpec } from '../driver.ts';

export interface FakeBehaviour {
  /** Infinity runs until it is stopped. */
  readonly durationMs: number;
  readonly exitCode: number;
  readonly signal?: number;
  readonly ignoreSigterm: boolean;
  readonly startError?: string;
  readonly outOfMemory: boolean;
  readonly lines: readonly { readonly container: string; readonly stream: 'stdout' | 'stderr'; readonly text: string }[];
}

/** @param durationMs where no container says how long */
export function readBehaviour(attempt: AttemptSpec, durationMs: number): FakeBehaviour {
  // The longest running container decides how long, and the first one that says so decides how it ends.
  const say = (name: string) => attempt.containers.flatMap((container) => container.env).find((entry) => entry.name === name)?.value;
  const duration = say('FAKE_DURATION_MS');
  const failing = Number(say('FAKE_FAIL_ATTEMPTS') ?? 0) > Number(say('CLOUD_RUN_TASK_ATTEMPT') ?? 0);
  const succeedsNow = say('FAKE_FAIL_ATTEMPTS') !== undefined && !failing;
  const code = Number(say('FAKE_EXIT_CODE') ?? (failing ? 1 : 0));
  const signal = say('FAKE_SIGNAL');
  const startError = say('FAKE_START_ERROR');
  return {
    durationMs: duration === undefined ? durationMs : duration === 'never' ? Number.POSITIVE_INFINITY : Number(duration),
    exitCode: succeedsNow ? 0 : code,
    ...(signal === undefined || succeedsNow ? {} : { signal: Number(signal) }),
    ignoreSigterm: say('FAKE_IGNORE_SIGTERM') === '1',
    ...(startError === undefined ? {} : { startError }),
    outOfMemory: say('FAKE_OUT_OF_MEMORY') === '1',
    lines: attempt.containers.flatMap((container) =>
      (['stdout', 'stderr'] as const).flatMap((stream) => {
        const text = container.env.find((entry) => entry.name === (stream === 'stdout' ? 'FAKE_LOG' : 'FAKE_LOG_STDERR'))?.value;
        return text === undefined ? [] : text.split('\n').map((line) => ({ container: container.name, stream, text: line }));
      }),
    ),
  };
}
