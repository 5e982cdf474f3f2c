/** `npm run acceptance`: tells the story of docs/acceptance.md by each way, prints the table, and writes it down. Ends with 1 where a step failed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hasGcloud } from '../test/acceptance/commands.ts';
import { acceptancePage, STEPS, tellByEachWay } from '../test/acceptance/story.ts';
import { findTerraform } from '../test/terraform/program.ts';

const dir = mkdtempSync(join(tmpdir(), 'actas-acceptance-'));
try {
  console.log(hasGcloud() ? 'gcloud is on the PATH, and is run.' : 'gcloud is not on the PATH: its requests are sent as recorded.');
  const terraform = await findTerraform(console.log);
  const found = typeof terraform === 'string' ? undefined : terraform;
  const types = ['google_service_account', 'google_project_iam_custom_role', 'google_project_iam_member', 'google_org_policy_policy', 'google_cloud_run_v2_job'];
  const unknown = types.filter((type) => !found?.providers.some((provider) => provider.types.has(type)));
  console.log(
    typeof terraform === 'string'
      ? `${terraform}: what Terraform's google provider sends is sent without it.`
      : `${terraform.program} ${terraform.version} is run with ${terraform.providers.map(({ name, version }) => `${name} ${version}`).join(', ')}${unknown.length === 0 ? '' : `; sent without it, for it does not know them: ${unknown.join(', ')}`}.`,
  );
  const columns = await tellByEachWay(dir, { real: true, ...(found === undefined ? {} : { terraform: found }) });
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
