/**
 * A program of its own, for a test: drives one execution of as many tasks as its argument says, and prints how much heap the process needed
 * meanwhile, garbage collected before each measure. Run with `--expose-gc`.
 */
import { createFakeDriver } from './driver.ts';
import { createWorld } from './world.ts';

const MEASURES = 10;

const taskCount = Number(process.argv[2]);
const { gc } = globalThis;
if (gc === undefined || !(taskCount > 0)) throw new Error('Usage: node --expose-gc heap-of-execution.ts TASKS');
const heap = (): number => {
  gc();
  return process.memoryUsage().heapUsed;
};

const world = await createWorld();
const driver = createFakeDriver({ clock: world.time, timers: world.time, durationMs: 0, countsStarts: false });
const nowhere = { append: () => Promise.resolve(), cursor: () => Promise.resolve({}) };
// Up to here it is the same for every number of tasks: one small execution, so that all code has run once.
const runner = world.runner(driver, { logs: nowhere, limits: { maxAttempts: 50 } });
await runner.start();
await world.untilDone(await world.insertExecution({ taskCount: 100 }));
const before = heap();
const uid = await world.insertExecution({ taskCount });
const during: number[] = [];
for (let measure = 1; measure <= MEASURES; measure++) {
  const share = Math.floor((taskCount * measure) / (MEASURES + 1));
  await world.live(async () => (await world.execution(uid)).succeededCount >= share, `${share} tasks`, 120_000);
  during.push(heap());
}
const { succeededCount } = await world.untilDone(uid);
console.log(JSON.stringify({ taskCount, succeededCount, before, most: Math.max(...during), after: heap() }));
await world.close();
