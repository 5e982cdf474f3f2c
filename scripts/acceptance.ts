/** `npm run acceptance`: tells the story of docs/acceptance.md by each way, prints the table, and writes it down. Ends with 1 where a step failed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hasGcloud } from '../test/acceptance/commands.ts';
import { acceptancePage, STEPS, tellByEachWay } from '../test/acceptance/story.ts';

const dir = mkdtempSync(join(tmpdir(), 'actas-acceptance-'));
try {
  console.log(hasGcloud() ? 'gcloud is on the PATH, and is run.' : 'gcloud is not on the PATH: its requests are sent as recorded.');
  const columns = await tellByEachWay(dir, { real: true });
  const page = acceptancePage(columns);
  console.log(page.slice(page.indexOf('| Step')));
  for (const { name, outcomes } of columns)
    for (const [i, outcome] of outcomes.entries()) {
      if (typeof outcome !== 'string') continue;
      console.log(`FAIL ${name}: ${STEPS[i]?.title}\n  ${outcome}`);
      process.exitCode = 1;
    }
  writeFileSync(resolve(import.meta.dirname, '..', 'docs', 'acceptance.md'), page);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
