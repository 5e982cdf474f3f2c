import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ContainerSchema } from '../gen/google/cloud/run/v2/k8s.min_pb.js';
import { goDuration } from './go-duration.ts';
import { imageName } from './image-name.ts';
import { exitNote, readOutcome, timeoutNote } from './outcome.ts';
import { fitResources } from './resources.ts';
import { createSlots } from './slots.ts';

test.each([
  [12_300_000, '12.3s'],
  [68_830_000, '1m8.83s'],
  [56_030_000, '56.03s'],
  [149_630_000, '2m29.63s'],
  [63_600_000, '1m3.6s'],
  [0, '0s'],
  [-5, '0s'],
  [3_600_000_000, '1h0m0s'],
  [59_999_999, '1m0s'],
])('goDuration(%i) is %s', (micros, text) => expect(goDuration(micros)).toBe(text));

test.each([
  ['app', 'app'],
  ['app:v1', 'app'],
  ['localhost:5000/app', 'localhost:5000/app'],
  ['localhost:5000/app:v1@sha256:ab', 'localhost:5000/app'],
  ['app@sha256:ab', 'app'],
])('imageName(%s) is %s', (reference, name) => expect(imageName(reference)).toBe(name));

test('an exit after SIGTERM means why it was sent', () => {
  const exit = { id: 'a-0', exitCode: 0, cause: 'exited', finishedAtMs: 1 } as const;
  expect(readOutcome(exit, null)).toMatchObject({ kind: 'succeeded', code: 0 });
  expect(readOutcome(exit, 'timeout')).toMatchObject({ kind: 'failed', code: 4 });
  expect(readOutcome(exit, 'cancel')).toMatchObject({ kind: 'cancelled', code: 1 });
  expect(readOutcome({ id: 'a-0', cause: 'lost', message: 'gone', finishedAtMs: 1 }, null)).toMatchObject({ kind: 'failed', message: 'The attempt was lost: gone' });
  expect(readOutcome({ ...exit, cause: 'outOfMemory', exitCode: 0 }, null).kind).toBe('failed');
});

test('the lines of the platform', () => {
  expect(timeoutNote(600_000).text).toBe(
    'Terminating task because it has reached the maximum timeout of 600 seconds. To change this limit, see https://cloud.google.com/run/docs/configuring/task-timeout',
  );
  expect(exitNote({ id: 'a', exitCode: 1, cause: 'exited', finishedAtMs: 0 }, 0)?.text).toBe('Container called exit(1).');
  expect(exitNote({ id: 'a', signal: 9, cause: 'outOfMemory', finishedAtMs: 0 }, 512 * 2 ** 20)?.text).toMatch(/^Memory limit of 512 MiB exceeded\./);
});

test('containers that want more than the host has get the same share each', () => {
  const container = (cpu: string, memory: string) => create(ContainerSchema, { resources: { limits: { cpu, memory } } });
  const host = { cpuMillis: 2000, memoryBytes: 2 ** 30 };
  expect(fitResources([container('1', '512Mi')], host)).toEqual({ given: [{ cpuMillis: 1000, memoryBytes: 512 * 2 ** 20 }], shortfalls: [] });
  const fit = fitResources([container('3', '1Gi'), container('1', '1Gi')], host);
  expect(fit.given).toEqual([
    { cpuMillis: 1500, memoryBytes: 2 ** 29 },
    { cpuMillis: 500, memoryBytes: 2 ** 29 },
  ]);
  expect(fit.shortfalls).toHaveLength(2);
});

test('a slot goes to the next in line when the first has no use for it', () => {
  const slots = createSlots(1);
  expect(slots.take(2)).toBe(1);
  const woken: string[] = [];
  slots.wait(() => (woken.push('gone'), false));
  slots.wait(() => (woken.push('second'), true));
  slots.wait(() => (woken.push('third'), true));
  slots.release(1);
  expect(woken).toEqual(['gone', 'second']);
});
