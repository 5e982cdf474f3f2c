/**
 * What every driver does, as a suite: `driverContract(name, create)` in the driver's own test file. What a driver cannot do
 * it says in `capabilities`, and those cases are reported as skipped by name.
 */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AttemptExit, type AttemptId, type AttemptSpec, type ContainerSpec, type Driver, type DriverInfo, ImageError, type LogCursor, type LogLine } from './driver.ts';
import { imageName } from './image-name.ts';
import { cursorAfter } from './log-cursor.ts';
import { until } from './until.ts';

/** What a container runs, in the driver's own terms. */
export type Program = Partial<Pick<ContainerSpec, 'command' | 'args' | 'env'>>;

export interface Programs {
  /** Ends at once. */
  exit(code: number): Program;
  /** Prints the lines to stdout, and ends with 0. */
  print(lines: readonly string[]): Program;
  /** Prints the lines to stdout, then runs until it is stopped; SIGTERM ends it. */
  printThenWait(lines: readonly string[]): Program;
  /** Runs until it is killed; SIGTERM does nothing to it. */
  ignoreTerm(): Program;
  /** Ends by this signal of its own. */
  killItself?(signal: number): Program;
  /** Prints one line of so many `x` and ends. */
  printLong?(bytes: number): Program;
  /** Serves TCP on the port until it is stopped. */
  listen?(port: number): Program;
  /** Exits with 0 when 127.0.0.1 answers on the port within a few seconds, else with 1. */
  connect?(port: number): Program;
  /** Names a program that is not there. */
  absent?(): Program;
}

export interface DriverUnderTest {
  readonly driver: Driver;
  /** Another object over the same state, as after a restart of our process. Without it the cases of adoption are skipped. */
  readonly reopen?: () => Promise<Driver>;
  /** An image that exists. */
  readonly image: string;
  /** One that nobody has. */
  readonly missingImage: string;
  readonly programs: Programs;
  /** Removes what `create` made. */
  readonly cleanUp?: () => Promise<void>;
}

export interface DriverCapabilities {
  /** The containers of an attempt share localhost. */
  readonly localhost: boolean;
  /** Lines longer than MAX_LINE_BYTES come in pieces. */
  readonly longLines: boolean;
  /** A program that is not there is told as startFailed. */
  readonly startFailures: boolean;
  readonly signals: boolean;
  readonly adoption: boolean;
}

interface Seen {
  readonly exits: AttemptExit[];
  readonly started: Map<AttemptId, number>;
}

/** @param create a fresh driver that was not opened yet; called before each case */
export function driverContract(name: string, capabilities: DriverCapabilities, create: () => Promise<DriverUnderTest>): void {
  describe(`driver contract: ${name}`, () => {
    let subject: DriverUnderTest;
    let driver: Driver;
    let info: DriverInfo;
    let seen: Seen;
    let pinned: string;
    const leased: string[] = [];

    const open = async (opened: Driver, keep: readonly AttemptId[]) => {
      seen = { exits: [], started: new Map() };
      const { exits, started } = seen;
      driver = opened;
      info = await opened.open({
        keep: new Set(keep),
        listener: { exited: (exit) => exits.push(exit), started: (id, at) => started.set(id, at), available: () => undefined },
        listeners: { metadata: (socket) => socket.destroy(), api: (socket) => socket.destroy(), isLeased: (address) => leased.includes(address) },
      });
    };
    const attempt = (programs: Readonly<Record<string, Program>>, id: AttemptId = `${randomUUID()}-0`): AttemptSpec => {
      const network = info.network;
      const address = network?.kind === 'address' ? [...network.pool()].find((candidate) => !leased.includes(candidate)) : undefined;
      if (address !== undefined) leased.push(address);
      return {
        id,
        labels: { job: 'contract', execution: 'contract-x', task: '0', attempt: '0' },
        containers: Object.entries(programs).map(([container, program]) => ({
          name: container,
          image: pinned,
          command: [],
          args: [],
          env: [],
          cpuMillis: 200,
          memoryBytes: 64 * 2 ** 20,
          mounts: [],
          dependsOn: [],
          ...program,
        })),
        volumes: [],
        hosts: [],
        interceptGoogle: true,
        ...(address === undefined ? {} : { address }),
      };
    };
    const exitOf = async (id: AttemptId): Promise<AttemptExit> => {
      await until(() => seen.exits.some((exit) => exit.id === id), `the exit of ${id}`);
      const exit = seen.exits.find((candidate) => candidate.id === id);
      if (exit === undefined) throw new Error('unreachable');
      return exit;
    };
    const run = async (program: Program) => {
      const spec = attempt({ main: program });
      await driver.start(spec);
      return { spec, exit: await exitOf(spec.id) };
    };
    const read = async (id: AttemptId, from: LogCursor = {}, most = Number.POSITIVE_INFINITY): Promise<LogLine[]> => {
      const lines: LogLine[] = [];
      const stop = new AbortController();
      for await (const line of driver.logs(id, from, stop.signal)) {
        lines.push(line);
        if (lines.length >= most) break;
      }
      stop.abort();
      return lines;
    };

    beforeEach(async () => {
      leased.length = 0;
      subject = await create();
      await open(subject.driver, []);
      pinned = (await driver.resolveImage(subject.image, new AbortController().signal)).pinned;
    });
    afterEach(async () => {
      await driver.close({ keepRunning: false });
      await subject.cleanUp?.();
    });

    test('says what one attempt can be given', () => {
      expect(info.cpuMillis).toBeGreaterThan(0);
      expect(info.memoryBytes).toBeGreaterThan(0);
      expect(info.description).not.toBe('');
    });

    test('pins an image to its content, and knows it again by NAME@DIGEST', async () => {
      const signal = new AbortController().signal;
      const image = await driver.resolveImage(subject.image, signal);
      expect(image.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(image.os).toBe('linux');
      const again = await driver.resolveImage(`${imageName(subject.image)}@${image.digest}`, signal);
      expect(again.digest).toBe(image.digest);
    });

    test('a missing image is an ImageError of kind missing', async () => {
      const error = await driver.resolveImage(subject.missingImage, new AbortController().signal).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      expect(error).toBeInstanceOf(ImageError);
      expect(error).toMatchObject({ kind: 'missing' });
    });

    test.each([0, 1, 42, 255])('tells exit code %i, once', async (code) => {
      const { spec, exit } = await run(subject.programs.exit(code));
      expect(exit).toMatchObject({ id: spec.id, exitCode: code, cause: 'exited' });
      expect(exit.signal).toBeUndefined();
      expect(exit.finishedAtMs).toBeGreaterThanOrEqual(exit.startedAtMs ?? Number.POSITIVE_INFINITY);
      const states = await driver.attempts();
      expect(states.find((state) => state.id === spec.id)).toMatchObject({ state: 'exited', exit: { exitCode: code, finishedAtMs: exit.finishedAtMs } });
      expect(seen.exits.filter((candidate) => candidate.id === spec.id)).toHaveLength(1);
    });

    test('tells the start before the exit', async () => {
      const { spec, exit } = await run(subject.programs.exit(0));
      expect(seen.started.get(spec.id)).toBe(exit.startedAtMs);
    });

    test.skipIf(!capabilities.signals)('tells the signal that ended a container', async () => {
      const program = subject.programs.killItself?.(9);
      if (program === undefined) throw new Error('the driver claims signals, but gives no program that kills itself');
      const { exit } = await run(program);
      expect(exit).toMatchObject({ signal: 9, cause: 'exited' });
      expect(exit.exitCode).toBeUndefined();
    });

    test.skipIf(!capabilities.startFailures)('a program that is not there is a failed start, with the reason', async () => {
      const { exit } = await run(subject.programs.absent?.() ?? {});
      expect(exit.cause).toBe('startFailed');
      expect(exit.message).toBeTruthy();
    });

    test('stop is SIGTERM first', async () => {
      const spec = attempt({ main: subject.programs.printThenWait(['ready']) });
      await driver.start(spec);
      await read(spec.id, {}, 1);
      await driver.stop(spec.id, 20_000);
      const exit = await exitOf(spec.id);
      expect(exit.exitCode === 143 || exit.signal === 15 || exit.exitCode === 0).toBe(true);
    });

    test('stop is SIGKILL after the grace', async () => {
      const spec = attempt({ main: subject.programs.ignoreTerm() });
      await driver.start(spec);
      await driver.stop(spec.id, 500);
      const exit = await exitOf(spec.id);
      expect(exit.signal === 9 || exit.exitCode === 137).toBe(true);
    });

    test('start is idempotent, while it runs and after it ended', async () => {
      const spec = attempt({ main: subject.programs.print(['once']) });
      await Promise.all([driver.start(spec), driver.start(spec)]);
      await exitOf(spec.id);
      await driver.start(spec);
      expect((await driver.attempts()).filter((state) => state.id === spec.id)).toMatchObject([{ state: 'exited' }]);
      expect((await read(spec.id)).map((line) => line.text)).toEqual(['once']);
      expect(seen.exits).toHaveLength(1);
    });

    test('lines come in order, and reading resumes at a cursor without loss or repetition', async () => {
      const texts = Array.from({ length: 50 }, (_, index) => `line ${index}`);
      const { spec } = await run(subject.programs.print(texts));
      const all = await read(spec.id);
      expect(all.map((line) => line.text)).toEqual(texts);
      expect(all.every((line) => line.container === 'main' && line.stream === 'stdout')).toBe(true);
      for (const kept of [1, 17, 49, 50]) {
        const rest = await read(spec.id, cursorAfter(all.slice(0, kept)));
        expect(rest.map((line) => line.text)).toEqual(texts.slice(kept));
      }
    });

    test('lines of a running attempt are followed, and an aborted reader ends', async () => {
      const spec = attempt({ main: subject.programs.printThenWait(['hello']) });
      await driver.start(spec);
      const abort = new AbortController();
      const lines: string[] = [];
      const reading = (async () => {
        for await (const line of driver.logs(spec.id, {}, abort.signal)) lines.push(line.text);
      })();
      await until(() => lines.length === 1, 'the first line');
      abort.abort();
      // An aborted reader may end by returning or by the abort's own error.
      await reading.catch((error: unknown) => expect(abort.signal.aborted, String(error)).toBe(true));
      expect(lines).toEqual(['hello']);
    });

    test.skipIf(!capabilities.longLines)('a line longer than the limit comes in pieces, nothing lost', async () => {
      const { spec } = await run(subject.programs.printLong?.(600_000) ?? {});
      const lines = await read(spec.id);
      expect(lines.map((line) => line.text).join('')).toBe('x'.repeat(600_000));
      expect(lines.slice(0, -1).every((line) => line.partial === true)).toBe(true);
      expect(lines.at(-1)?.partial ?? false).toBe(false);
    });

    test.skipIf(!capabilities.localhost)('the containers of an attempt share localhost', async () => {
      const { listen, connect } = subject.programs;
      if (listen === undefined || connect === undefined) throw new Error('the driver claims localhost, but gives no programs for it');
      const spec = attempt({ server: listen(8125), client: connect(8125) });
      await driver.start({ ...spec, containers: spec.containers.map((container) => (container.name === 'client' ? { ...container, dependsOn: ['server'] } : container)) });
      // The client decides, since another depends on the server; with the client the server goes.
      expect(await exitOf(spec.id)).toMatchObject({ cause: 'exited', exitCode: 0 });
    });

    test('remove forgets an ended attempt, twice as well', async () => {
      const { spec } = await run(subject.programs.exit(0));
      await driver.remove(spec.id);
      await driver.remove(spec.id);
      expect((await driver.attempts()).some((state) => state.id === spec.id)).toBe(false);
    });

    test.skipIf(!capabilities.adoption)('after a restart running attempts are found, followed and end; their lines resume', async () => {
      const running = attempt({ main: subject.programs.printThenWait(['before']) });
      const ended = attempt({ main: subject.programs.exit(7) });
      await driver.start(running);
      await driver.start(ended);
      const before = await exitOf(ended.id);
      const [first] = await read(running.id, {}, 1);
      await driver.close({ keepRunning: true });
      await open((await subject.reopen?.()) ?? subject.driver, [running.id, ended.id]);
      const states = await driver.attempts();
      expect(states.find((state) => state.id === ended.id)).toMatchObject({ state: 'exited', exit: { exitCode: 7, finishedAtMs: before.finishedAtMs } });
      expect(states.find((state) => state.id === running.id)).toMatchObject({ state: 'running' });
      await driver.stop(running.id, 5000);
      await exitOf(running.id);
      expect(await read(running.id, first === undefined ? {} : cursorAfter([first]))).toEqual([]);
    });

    test.skipIf(!capabilities.adoption)('after a restart what nobody wants is removed', async () => {
      const spec = attempt({ main: subject.programs.printThenWait(['before']) });
      await driver.start(spec);
      await driver.close({ keepRunning: true });
      await open((await subject.reopen?.()) ?? subject.driver, []);
      expect((await driver.attempts()).some((state) => state.id === spec.id)).toBe(false);
    });
  });
}
