/** What `actas export` writes for programs: whatever a text holds, it arrives as it was, and nothing in it is run. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { gcloudScriptOf } from '../src/cli/export-gcloud.ts';
import { quoted } from '../src/cli/export-hcl.ts';
import type { JsonRecord, Snapshot } from '../src/cli/export-read.ts';
import { terraformOf } from '../src/cli/export-terraform.ts';
import { toYaml } from '../src/cli/format.ts';

const ACCOUNT = '123456789012-compute@developer.gserviceaccount.com';
const HOSTILE = [
  '$(touch "$RUN/owned")',
  '`touch "$RUN/owned"`',
  '${HOME}',
  '$HOME',
  '%{ if true }x%{ endif }',
  '${data.google_project.project.number}',
  '$${a}',
  "it's",
  '\'; touch "$RUN/owned"; \'',
  '"',
  '\\',
  '\\"',
  'a\nYAML\nb',
  'YAML',
  'a\nJSON\ntouch "$RUN/owned"\n',
  '\nEOF\n',
  `serviceAccountName: ${ACCOUNT}\n`,
  '--project=other',
  '-',
  '!x',
  '*',
  '# no comment',
  'yes',
  'NO',
  'on',
  '012',
  '0x1f',
  '1_000',
  '12:30',
  '2001-01-01',
  '~',
  'null',
  '=',
  '<<',
  ' leading',
  'trailing ',
  'tab\there',
  '\r\n',
  '\u0085\u2028\uFEFF',
  '\u0007\b\f\u001b',
  'é 日本 😀',
];
// No shell can pass NUL on, and no API takes half a pair.
const text = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 30 })).map((each) => each.replaceAll('\0', ''));

function snapshotOf(texts: readonly string[]): Snapshot {
  const [first = '', second = '', third = ''] = texts;
  return {
    organizations: [],
    folders: [],
    projects: [{ id: 'demo', number: '123456789012' }],
    serviceAccounts: texts.map((each, i) => ({ project: 'demo', id: `account-${i}`, displayName: each, description: `${each}.` })),
    roles: [{ name: 'projects/demo/roles/some', title: first, description: second, stage: 'GA', includedPermissions: ['run.jobs.run'] }],
    policies: [
      { resource: 'projects/demo', bindings: texts.map((each) => ({ role: 'roles/run.viewer', members: ['user:a@b.example'], condition: { title: each, expression: each } })) },
    ],
    denyPolicies: [{ name: 'projects/demo/denyPolicies/some', displayName: first, rules: [{ description: third }] }],
    groups: [],
    tagKeys: [{ name: 'demo/own', description: first, values: texts.map((each, i) => ({ shortName: `v${i}`, description: each })) }],
    tagBindings: [{ resource: 'projects/demo', tagValue: 'demo/own/v0' }],
    workloadIdentityPools: [{ name: 'projects/demo/locations/global/workloadIdentityPools/some', displayName: second, providers: [providerOf(texts)] }],
    customConstraints: [],
    orgPolicies: [{ name: 'projects/demo/policies/gcp.resourceLocations', spec: { rules: [{ values: { allowedValues: [...texts] } }] } }],
    jobs: [{ name: 'projects/demo/locations/us-central1/jobs/some', labels: {}, template: { template: { containers: [{ image: first, args: [...texts], env: envOf(texts) }] } } }],
  };
}

function providerOf(texts: readonly string[]) {
  const [first = '', second = ''] = texts;
  return { id: 'ci', attributeCondition: first, attributeMapping: { 'google.subject': second }, oidc: { issuerUri: 'https://x.example', allowedAudiences: [...texts] } };
}

function envOf(texts: readonly string[]) {
  return texts.map((value, i) => ({ name: `E${i}`, value }));
}

function jobOf(texts: readonly string[]): JsonRecord {
  const spec = { serviceAccountName: ACCOUNT, containers: [{ image: texts[0] ?? '', args: [...texts], env: envOf(texts) }] };
  return {
    apiVersion: 'run.googleapis.com/v1',
    kind: 'Job',
    metadata: { name: 'some', annotations: Object.fromEntries(texts.map((each, i) => [`a.example/${i}`, each])) },
    spec: { template: { spec: { template: { spec } } } },
  };
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'actas-escaping-'));
  // Notes its arguments, and what it is given to read; nothing exists yet.
  writeFileSync(
    join(dir, 'gcloud'),
    `#!/usr/bin/env bash
n=$(ls "$RUN" | wc -l); mkdir "$RUN/$n"; printf '%s\\0' "$@" > "$RUN/$n/args"
case "$*" in *describe*|*"policies get "*) [ "$1" = projects ] && echo 123456789012 && exit 0; exit 1;; *"=/dev/stdin"*|*" /dev/stdin"*) cat > "$RUN/$n/in";; esac
`,
  );
  chmodSync(join(dir, 'gcloud'), 0o755);
});
afterAll(() => rmSync(dir, { recursive: true }));

/** What a script's commands got. */
function runScript(script: string) {
  const run = mkdtempSync(join(dir, 'run-'));
  const ran = spawnSync('bash', ['-s'], { input: script, cwd: run, env: { PATH: `${dir}:${process.env['PATH'] ?? ''}`, RUN: run, HOME: run }, encoding: 'utf8' });
  expect({ status: ran.status, stderr: ran.stderr, owned: existsSync(join(run, 'owned')) }).toEqual({ status: 0, stderr: '', owned: false });
  return readdirSync(run)
    .toSorted((a, b) => Number(a) - Number(b))
    .map((name) => ({
      args: readFileSync(join(run, name, 'args'), 'utf8')
        .split('\0')
        .slice(0, -1),
      stdin: existsSync(join(run, name, 'in')) ? readFileSync(join(run, name, 'in'), 'utf8') : '',
    }));
}

/** As gcloud reads a list: by commas, or by the sign that it begins with (`gcloud topic escaping`). */
function listed(value: string): string[] {
  const [, sign = ',', rest = value] = /^\^([^^]+)\^([^]*)$/.exec(value) ?? [];
  return rest.split(sign);
}

/** As gcloud reads YAML. */
const read = (yaml: string): unknown => parse(yaml, { version: '1.1' });

test('the gcloud script gives every command its words, and runs none of them', { timeout: 120_000 }, async () => {
  const check = async (texts: readonly string[]) => {
    const script = await gcloudScriptOf(snapshotOf(texts), [{ region: 'us-central1', job: jobOf(texts) }]);
    expect(spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    const calls = runScript(script);
    const created = calls.filter(({ args }) => args.slice(0, 3).join(' ') === 'iam service-accounts create');
    const flag = (args: readonly string[], name: string) => args.find((each) => each.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
    expect(created.map(({ args }) => flag(args, 'display-name'))).toEqual(texts);
    expect(created.map(({ args }) => flag(args, 'description'))).toEqual(texts.map((each) => `${each}.`));
    expect(calls.filter(({ args }) => args.includes('--condition-from-file=/dev/stdin')).map(({ stdin }) => read(stdin))).toEqual(
      texts.map((each) => ({ title: each, expression: each })),
    );
    const job = calls.find(({ args }) => args.includes('replace'));
    const { serviceAccountName: _, ...spec } = { serviceAccountName: '', containers: [{ image: texts[0], args: texts, env: envOf(texts) }] };
    expect(read(job?.stdin ?? '')).toMatchObject({
      metadata: { annotations: Object.fromEntries(texts.map((each, i) => [`a.example/${i}`, each])) },
      spec: { template: { spec: { template: { spec } } } },
    });
    expect(JSON.stringify(read(job?.stdin ?? ''))).not.toContain('"serviceAccountName":');
    expect(calls.filter(({ args }) => args.join(' ').includes('tags values create')).map(({ args }) => flag(args, 'description'))).toEqual(texts);
    const provider = calls.find(({ args }) => args.includes('create-oidc'))?.args ?? [];
    expect([flag(provider, 'attribute-condition'), listed(flag(provider, 'attribute-mapping'))]).toEqual([texts[0], [`google.subject=${texts[1] ?? ''}`]]);
    expect(listed(flag(provider, 'allowed-audiences'))).toEqual(texts);
    expect(read(calls.find(({ args }) => args.includes('set-policy'))?.stdin ?? '')).toMatchObject({ spec: { rules: [{ values: { allowedValues: texts } }] } });
    expect(JSON.parse(calls.find(({ args }) => args.includes('policies') && args.includes('create'))?.stdin ?? '')).toMatchObject({ displayName: texts[0] });
  };
  await check(HOSTILE);
  await fc.assert(fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 4 }), check), { numRuns: 12 });
});

test('YAML reads the same in YAML 1.1 and 1.2', async () => {
  await fc.assert(
    fc.asyncProperty(fc.dictionary(text, text), async (given) => {
      const yaml = await toYaml(given);
      expect(read(yaml)).toEqual({ ...given });
      expect(parse(yaml)).toEqual({ ...given });
    }),
    { numRuns: 500 },
  );
});

describe('HCL', () => {
  const has = spawnSync('terraform', ['version'], { stdio: 'ignore' }).status === 0;

  test('a quoted text has no template and no line of its own in it', () => {
    fc.assert(
      fc.property(text, (each) => {
        const inner = quoted(each).slice(1, -1);
        expect(inner).not.toMatch(/\n|(?<!\$)\$\{|(?<!%)%\{/);
        // Undone in the order of the language: escapes of templates, then those of texts.
        expect(JSON.parse(`"${inner.replaceAll(/([$%])\1\{/g, '$1{')}"`)).toBe(each);
      }),
      { numRuns: 1000 },
    );
  });

  test.skipIf(!has)('terraform reads every text as it was, and fmt changes nothing', { timeout: 60_000 }, () => {
    const place = join(dir, 'hcl');
    mkdirSync(place, { recursive: true });
    const texts = [...HOSTILE, ...fc.sample(text, 60)];
    // Of several lines it prints the last.
    const printed = execFileSync('terraform', ['console'], { cwd: place, input: `[${texts.map((each) => `base64encode(${quoted(each)})`).join(', ')}]\n`, encoding: 'utf8' });
    const values = [...printed.matchAll(/"([^"]*)",/g)].map(([, coded = '']) => Buffer.from(coded, 'base64').toString());
    // HCL keeps texts in their composed form (NFC).
    expect(values).toEqual(texts.map((each) => each.normalize('NFC')));
    const { status, stdout } = spawnSync('terraform', ['fmt', '-check', '-diff', '-'], { input: terraformOf(snapshotOf(texts)), encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});
