/**
 * The engine's own word about our containers: its event stream, with reconnects. While all is well it asks the engine nothing but whether it still
 * answers: an engine that hangs keeps its streams open and is silent, which looks like one where nothing happens.
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

/** When an engine counts as hung. */
export interface Vigilance {
  /** From one answer to the next question. */
  readonly everyMs: number;
  /** How long an answer may take: a busy engine on a slow disk is slow to answer as well. */
  readonly patienceMs: number;
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;
const VIGILANCE: Vigilance = { everyMs: 10_000, patienceMs: 15_000 };

export interface FeedOptions {
  /** Podman compares the filter with its own words for events, and writes Docker's into the stream: there all are asked for. */
  readonly podman?: boolean;
  readonly vigilance?: Vigilance;
}

export function followEvents(docker: Docker, dataDirId: string, listener: EventListener, { podman = false, vigilance = VIGILANCE }: FeedOptions = {}): EventFeed {
  const stop = new AbortController();
  const first = Promise.withResolvers<void>();
  let isAvailable = true;
  const tell = (available: boolean, reason: string) => {
    if (available === isAvailable) return;
    isAvailable = available;
    listener.available(available, reason);
  };
  const once = async (signal: AbortSignal): Promise<void> => {
    const stream = await docker.getEvents({
      filters: { type: ['container'], ...(podman ? {} : { event: ['start', 'die', 'destroy'] }), label: [`${LABEL_OWNER}=${dataDirId}`] },
      abortSignal: signal,
    });
    await listener.resync();
    // Looked at everything, though too late: the engine had been called away meanwhile.
    signal.throwIfAborted();
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
        await whileAnswering(docker, vigilance, stop.signal, once);
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

/**
 * Does the work as long as the engine answers pings, the first of them before it begins: an engine that hangs is asked nothing else.
 * @throws Error once it does not answer in time, whatever the work waits for; else what the work throws
 */
async function whileAnswering(docker: Docker, { everyMs, patienceMs }: Vigilance, stop: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([stop, over.signal]);
  // dockerode takes options here; its types do not say so.
  const ping = docker.ping.bind(docker) as (options: { abortSignal: AbortSignal }) => Promise<unknown>;
  const ask = async () => {
    const late = AbortSignal.timeout(patienceMs);
    try {
      await ping({ abortSignal: AbortSignal.any([signal, late]) });
    } catch (error) {
      throw late.aborted ? new Error(`the engine accepts connections, but has not answered for ${patienceMs / 1000} s: it hangs`) : error;
    }
  };
  const watch = async () => {
    for (;;) {
      await sleep(everyMs, undefined, { signal });
      await ask();
    }
  };
  await ask();
  try {
    await Promise.race([work(signal), watch()]);
  } finally {
    over.abort();
  }
}

/** Podman has words of its own for some, and tells the end of a container twice: when it ended, and when its network and mounts are gone. */
const ACTIONS: ReadonlyMap<string, EngineEvent['action']> = new Map([
  ['start', 'start'],
  ['die', 'die'],
  ['died', 'die'],
  ['cleanup', 'die'],
  ['destroy', 'destroy'],
  ['remove', 'destroy'],
]);

/** One line of the stream. Exported for its test. */
export function parseEvent(line: string): EngineEvent | undefined {
  if (line.trim() === '') return undefined;
  // The Engine API's EventMessage; what we use of it is checked below.
  const message = JSON.parse(line) as { Action?: string; id?: string; Actor?: { ID?: string; Attributes?: Record<string, string> } };
  const action = ACTIONS.get(message.Action ?? '');
  if (action === undefined) return undefined;
  const containerId = message.Actor?.ID ?? message.id;
  if (containerId === undefined) return undefined;
  return { action, containerId, labels: message.Actor?.Attributes ?? {} };
}
