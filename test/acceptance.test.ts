import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { acceptancePage, STEPS, tellByEachWay } from './acceptance/story.ts';

const dir = mkdtempSync(join(tmpdir(), 'actas-acceptance-'));
afterAll(() => rmSync(dir, { recursive: true }));

test('each step of the service identity of a job passes by each way, as docs/acceptance.md says', { timeout: 120_000 }, async () => {
  const columns = await tellByEachWay(dir, { real: false });
  const faults = columns.flatMap(({ name, outcomes }) => outcomes.flatMap((outcome, i) => (typeof outcome === 'string' ? [`${name}: ${STEPS[i]?.title} ${outcome}`] : [])));
  expect(faults).toEqual([]);
  await expect(acceptancePage(columns)).toMatchFileSnapshot('../docs/acceptance.md');
});
