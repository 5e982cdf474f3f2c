/**
 * The engine's own word about our containers: its event stream, with reconnects. It asks nothing of the engine while all is well.
 * Invariants: whoever listens is told to look at everything (`resync`) after each connection, before any later event, so no gap is ever missed;
 * `available` is told on changes only.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { LABEL_OWNER } from './labels.ts';

export interface EngineEvent {
  readonly action: 'start' | 'die' | 'destroy';
  readonly containerId: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface EventListener {
  event(event: EngineEvent): void;
  /** A connection stands: what happened before is to be read from the engine. Events that come meanwhile are told afterwards. */
  resync(): Promise<void>;
  available(available: boolean, reason: string): void;
}

export interface EventFeed {
  /** Resolves once the first connection stands and was synchronised. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;

export function followEvents(docker: Docker, dataDirId: string, listener: EventListener): EventFeed {
  const stop = new AbortController();
  const first = Promise.withResolvers<void>();
  let isAvailable = true;
  const tell = (available: boolean, reason: string) => {
    if (available === isAvailable) return;
    isAvailable = available;
    listener.available(available, reason);
  };
  const once = async (): Promise<void> => {
    const stream = await docker.getEvents({
      filters: { type: ['container'], event: ['start', 'die', 'destroy'], label: [`${LABEL_OWNER}=${dataDirId}`] },
      abortSignal: stop.signal,
    });
    await listener.resync();
    tell(true, 'the engine answers again');
    first.resolve();
    let rest = '';
    stream.setEncoding('utf8');
    for await (const chunk of stream) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const event = parseEvent(line);
        if (event !== undefined) listener.event(event);
      }
    }
    throw new Error('the engine ended its stream of events');
  };
  const run = async () => {
    for (let delayMs = FIRST_DELAY_MS; !stop.signal.aborted; ) {
      const begun = performance.now();
      try {
        await once();
      } catch (error) {
        if (stop.signal.aborted) return;
        first.reject(error);
        tell(false, error instanceof Error ? error.message : String(error));
        delayMs = performance.now() - begun > LONGEST_DELAY_MS ? FIRST_DELAY_MS : Math.min(LONGEST_DELAY_MS, delayMs * 2);
        await sleep(delayMs, undefined, { signal: stop.signal }).catch(() => undefined);
      }
    }
  };
  const ended = run();
  return {
    ready: first.promise,
    async close() {
      stop.abort();
      await ended;
    },
  };
}

/** One line of the stream. Exported for its test. */
export function parseEvent(line: string): EngineEvent | undefined {
  if (line.trim() === '') return undefined;
  // The Engine API's EventMessage; what we use of it is checked below.
  const message = JSON.parse(line) as { Action?: string; id?: string; Actor?: { ID?: string; Attributes?: Record<string, string> } };
  const action = message.Action;
  if (action !== 'start' && action !== 'die' && action !== 'destroy') return undefined;
  const containerId = message.Actor?.ID ?? message.id;
  if (containerId === undefined) return undefined;
  return { action, containerId, labels: message.Actor?.Attributes ?? {} };
}
