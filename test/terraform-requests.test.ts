/** What Terraform's google provider sends, as recorded by `npm run test:terraform -- --record` or read in its source, and the answers that it needs. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TERRAFORM_ENDPOINTS } from '../src/cli/client-environment.ts';
import { startTestServer } from './harness/server.ts';
import { GROUPS } from './terraform/groups.ts';
import { CONFIGURATIONS } from './terraform/program.ts';
import { differences, type Exchange, readExchanges, recordings, replay, replaySeed } from './terraform/replay.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'actas-terraform-requests-'));
  writeFileSync(join(dir, 'seed.json'), JSON.stringify(replaySeed()));
});
afterAll(() => rmSync(dir, { recursive: true }));

const replayed = async (exchanges: readonly Exchange[]): Promise<string[]> => {
  const server = await startTestServer({ seed: join(dir, 'seed.json') });
  try {
    return await replay(server, exchanges);
  } finally {
    await server.close();
  }
};

test('every configuration has its requests, and holds the types that it is there for', () => {
  expect(recordings()).toEqual(GROUPS.map(({ name }) => name).toSorted());
  for (const { name, types } of GROUPS) {
    const text = readFileSync(join(CONFIGURATIONS, name, 'main.tf'), 'utf8');
    for (const type of types) expect(text).toContain(`resource "${type}"`);
  }
});

test.each(GROUPS.map(({ name }) => name))('%s: the provider gets the answers that it needs', async (name) => {
  expect(await replayed(readExchanges(name))).toEqual([]);
});

test('docs/terraform.md names the endpoints that `actas env --mode=direct` names', () => {
  const text = readFileSync(join(import.meta.dirname, '..', 'docs', 'terraform.md'), 'utf8');
  const shown = [...text.matchAll(/^ {2}(\w+)_custom_endpoint += "http:\/\/127\.0\.0\.1:8787\/(\S+)"$/gm)].map(([, name = '', path]) => [name.toUpperCase(), path]);
  // A provider refuses a setting that it does not know; no newer one knows this.
  const { RESOURCE_MANAGER_V2: _older, ...endpoints } = TERRAFORM_ENDPOINTS;
  expect(Object.fromEntries(shown)).toEqual(endpoints);
});

test('an answer that the next plan would change is found', async () => {
  const [create, ...rest] = readExchanges('deny-policy');
  if (create === undefined) throw new Error('there are no requests');
  // As if the server had made a default of its own, and as if it had lost a field.
  const faults = await replayed([{ ...create, without: ['name'] }, ...rest.map((each) => (each.method === 'GET' ? { ...each, answer: { displayName: 'Another' } } : each))]);
  expect(faults[0]).toMatch(/: name must be absent, but is "policies/);
  expect(faults.some((fault) => fault.includes('displayName is "No deletes", not "Another"'))).toBe(true);
});

test('placeholders stand for any text at first, and then for the same', () => {
  const known = new Map<string, string>();
  expect(differences({ etag: '{{etag:1}}', name: 'tagKeys/{{id:1}}', at: '{{*}}' }, { etag: 'a', name: 'tagKeys/5', at: 'now', more: 1 }, known)).toEqual([]);
  expect(differences({ etag: '{{etag:1}}', name: 'tagKeys/{{id:1}}', at: '{{*}}' }, { etag: 'a', name: 'tagKeys/5', at: 'later' }, known)).toEqual([]);
  expect(differences({ etag: '{{etag:1}}' }, { etag: 'b' }, known)).toEqual(['etag is "b", not "a"']);
  expect(differences({ list: ['a'] }, { list: ['a', 'b'] }, known)).toEqual(['list is ["a","b"], not ["a"]']);
  expect(differences({ 'a.b': '.' }, { 'a.b': 'x' }, known)).toEqual(['a.b is "x", not "."']);
  expect(differences({ missing: { field: 1 } }, {}, known)).toEqual(['missing is undefined, not {"field":1}']);
});
