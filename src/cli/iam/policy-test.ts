/**
 * `actas iam test`: a table of expectations as a unit test of policies, against the control plane that runs, or against a seed file with the decision
 * engine in this process and no server.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { Expectation } from '../../offline/expectations.ts';
import { contextOf, fullResourceName, principalOf, resourceOf } from '../access-question.ts';
import { ACTAS, type Api } from '../api.ts';
import { defineCommand, onRun, type Shell, withRegion } from '../command.ts';
import { drawExplanation, type Why } from '../explanation-tree.ts';
import { EXIT, failure, usageFailure } from '../failure.ts';
import { printResource } from '../format.ts';
import { DEFAULT_REGION, type Session } from '../session.ts';

interface TestFlags {
  readonly seed?: string;
  readonly junit?: string;
}

/** What one expectation came to. */
interface Outcome {
  readonly expectation: Expectation;
  readonly passed: boolean;
  readonly why: Why;
  readonly seconds: number;
}

type Ask = (expectation: Expectation) => Promise<Why>;

export function registerPolicyTest(iam: Command, shell: Shell): void {
  const test = withRegion(
    defineCommand(iam, 'test <file>', {
      summary: 'test policies against a table of expectations',
      description:
        'Reads a YAML table of expectations (principal, permission, resource, and allowed or denied) and says which do not hold, and why. It asks the control plane that runs, or with --seed needs none: the seed file is judged as it is. Exits with 8 where an expectation does not hold.',
      examples: ['actas iam test policies.test.yaml', 'actas iam test policies.test.yaml --seed=seed.yaml --junit=report.xml'],
    }),
  )
    .option('--seed <file>', 'a seed file to test, or an export of Cloud Asset Inventory, without any control plane')
    .option('--junit <file>', 'write a JUnit report there');
  onRun<TestFlags>(test, shell, async (session, file) => {
    const { ExpectationError, parseExpectations } = await import('../../offline/expectations.ts');
    let expectations: readonly Expectation[];
    try {
      expectations = parseExpectations(await readText(file), file);
    } catch (error) {
      if (error instanceof ExpectationError) throw failure(`The expectations cannot be read.`, ...error.message.split('\n'));
      throw error;
    }
    const ask = session.flags.seed === undefined ? await askServer(session, expectations) : await askSeed(session, session.flags.seed);
    const outcomes = await runAll(expectations, ask);
    const failed = outcomes.filter(({ passed }) => !passed);
    if (session.flags.junit !== undefined) await writeReport(session.flags.junit, file, outcomes);
    if (session.format !== undefined) await printResource(session.terminal, session.format, toJson(outcomes));
    else {
      for (const outcome of failed) session.terminal.print(`${describeFailure(outcome).join('\n')}\n`);
      session.terminal.print(`${outcomes.length - failed.length} of ${outcomes.length} expectations hold.`);
    }
    return failed.length === 0 ? EXIT.ok : EXIT.no;
  });
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw failure(`Cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function askServer(session: Session<TestFlags>, expectations: readonly Expectation[]): Promise<Ask> {
  const tagged = expectations.find(({ tags }) => tags !== undefined);
  if (tagged !== undefined) throw usageFailure(`${tagged.place}.tags: a control plane answers by the tags that are bound.`, 'Leave tags out, or test a seed with --seed=FILE.');
  const api: Api = await session.api();
  return async ({ principal, permission, resource, time, request, modifiedRoles, principalSets }) => {
    const context = contextOf({
      ...(time === undefined ? {} : { time }),
      ...(request === undefined ? {} : { requestHost: request.host, requestPath: request.path }),
      ...(modifiedRoles === undefined ? {} : { modifiedRoles }),
    });
    return api.send<Why>('POST', ACTAS, 'access:explain', {
      principal: principalOf(principal),
      permission,
      fullResourceName: await resourceOf(session, resource),
      ...(context === undefined ? {} : { context }),
      ...(principalSets === undefined ? {} : { principalSets }),
    });
  };
}

/** A list, or lines, of assets (Cloud Asset Inventory) and not a seed. */
function isExport(text: string): boolean {
  return /^\s*(?:\[|\{.*"(?:assetType|asset_type)")/.test(text);
}

async function askSeed(session: Session<TestFlags>, file: string): Promise<Ask> {
  const [{ readDocument, readSeedState }, { StateError }, { explainer }] = await Promise.all([
    import('../../offline/read-state.ts'),
    import('../../offline/seed-state.ts'),
    import('../../offline/explain-state.ts'),
  ]);
  const text = await readText(file);
  let state: ReturnType<typeof readSeedState>;
  try {
    const notes: string[] = [];
    const document = isExport(text) ? readDocument(text, file, notes) : undefined;
    state = document?.kind === 'state' ? document.state : readSeedState(text, file);
    for (const note of notes) session.terminal.warn(note);
  } catch (error) {
    if (error instanceof StateError) throw failure('The seed cannot be tested.', ...error.message.split('\n'));
    throw error;
  }
  const explain = explainer(state);
  const [only, another] = [...state.projects.keys()];
  const project = session.flags.project ?? (another === undefined ? only : undefined);
  return async ({ principal, permission, resource, time, tags, request, modifiedRoles, principalSets, place }) => {
    const full =
      fullResourceName(resource) ??
      (project === undefined ? undefined : `//run.googleapis.com/projects/${project}/locations/${session.flags.region ?? DEFAULT_REGION}/jobs/${resource}`);
    if (full === undefined)
      throw usageFailure(`${place}.resource is ${JSON.stringify(resource)}, and the seed has several projects.`, 'Write its full name, or add --project=PROJECT.');
    return explain({
      member: principalOf(principal),
      permission,
      resource: full,
      time,
      tags,
      request,
      ...(modifiedRoles === undefined ? {} : { modifiedGrantsByRole: modifiedRoles }),
      ...(principalSets === undefined ? {} : { sets: principalSets }),
    });
  };
}

/** Questions that are under way at one time. */
const AT_ONCE = 8;

async function runAll(expectations: readonly Expectation[], ask: Ask): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let at = 0; at < expectations.length; at += AT_ONCE)
    outcomes.push(
      ...(await Promise.all(
        expectations.slice(at, at + AT_ONCE).map(async (expectation): Promise<Outcome> => {
          const started = performance.now();
          const why = await ask(expectation);
          return {
            expectation,
            passed: why.access === (expectation.expect === 'allowed' ? 'GRANTED' : 'NOT_GRANTED') || (expectation.expect === 'denied' && why.access === 'UNKNOWN_CONDITIONAL'),
            why,
            seconds: (performance.now() - started) / 1000,
          };
        }),
      )),
    );
  return outcomes;
}

function title({ name, expect, principal, permission, resource }: Expectation): string {
  const what = `${principal} ${permission} ${resource}: ${expect}`;
  return name === undefined ? what : `${name} (${what})`;
}

function describeFailure({ expectation, why }: Outcome): string[] {
  const isUndeclared = why.access === 'UNKNOWN_INFO' && why.allowPoliciesHidden !== true && (why.resources ?? []).length === 0;
  const said = isUndeclared
    ? [`UNKNOWN: the seed does not declare ${why.fullResourceName ?? ''}, or what it is in.`]
    : drawExplanation({ ...why, ...(expectation.expect === 'denied' ? { changes: [] } : {}) });
  return [`FAIL ${expectation.place} ${title(expectation)}`, ...said.map((line) => `  ${line}`.trimEnd())];
}

async function writeReport(file: string, source: string, outcomes: readonly Outcome[]): Promise<void> {
  const { junitReport } = await import('../../offline/junit.ts');
  const cases = outcomes.map((outcome) => {
    const lines = describeFailure(outcome);
    return {
      name: title(outcome.expectation),
      classname: `${basename(source)}.${outcome.expectation.place}`,
      seconds: outcome.seconds,
      failure: outcome.passed ? undefined : { message: lines[1]?.trim() ?? '', text: lines.join('\n') },
    };
  });
  try {
    await writeFile(file, junitReport(basename(source), cases));
  } catch (error) {
    throw failure(`Cannot write ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function toJson(outcomes: readonly Outcome[]): object {
  return {
    passed: outcomes.filter(({ passed }) => passed).length,
    failed: outcomes.filter(({ passed }) => !passed).length,
    results: outcomes.map(({ expectation: { place, name, principal, permission, resource, expect }, passed, why }) => ({
      place,
      ...(name === undefined ? {} : { name }),
      principal,
      permission,
      resource,
      expect,
      passed,
      access: why.access,
      ...(passed ? {} : { why }),
    })),
  };
}
