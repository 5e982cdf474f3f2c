/** The pipelines of examples/ci: they are what their runners read, and every command in them does what docs/ci.md says. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { githubPipeline, gitlabPipeline, type Pipeline, runPipeline } from './harness/pipelines.ts';

const ACTAS = resolve(import.meta.dirname, '../bin/actas.js');
const runHere = (pipeline: Pipeline) => runPipeline(pipeline, ACTAS, process.env['PATH'] ?? '');

test.each([
  ['GitHub Actions', githubPipeline('identity')],
  ['GitLab CI', gitlabPipeline()],
])('%s: the commands run in their order', { timeout: 120_000 }, (_name, pipeline) => {
  expect(pipeline.commands.filter((command) => /^ *actas/m.test(command)).length).toBeGreaterThan(5);
  const { ran, others, report } = runHere(pipeline);
  expect(ran.filter(({ status }) => status !== 0)).toEqual([]);
  const output = ran.map((each) => each.output).join('');
  for (const words of ['4 of 4 expectations hold.', 'Nothing stands in the way.', 'Job [nightly-report] has been successfully created.', 'has successfully completed', 'Stopped.'])
    expect(output).toContain(words);
  expect(report).toContain('<testsuite');
  expect(others).toContain('npm test through the proxy');
});

test('GitHub Actions: the plan is made as the pipeline, and what it gives to whom fails the job', { timeout: 120_000 }, () => {
  const { ran, others } = runHere(githubPipeline('terraform'));
  const failed = ran.filter(({ status }) => status !== 0);
  // Somebody gains something: that is exit code 8, for a person to look at.
  expect(failed).toEqual([{ command: expect.stringContaining('actas iam diff seed.yaml plan.json'), status: 8, output: expect.stringContaining('user:dev@shop.example') }]);
  expect(others).toMatch(/terraform plan -out=plan\.out through the proxy/);
});

test('a policy that is not as it is meant stops the pipeline at its first step', { timeout: 60_000 }, () => {
  const { env, commands } = gitlabPipeline();
  const [test = ''] = commands.filter((command) => command.startsWith('actas iam test'));
  const { ran } = runHere({ env, commands: ["sed -i 's/expect: denied/expect: allowed/' policies.test.yaml", 'npm ci', test] });
  expect(ran.at(-1)).toMatchObject({ status: 8, output: expect.stringContaining('nobody else does') });
});
