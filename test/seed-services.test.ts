/** Tags and workload identity pools of a seed: made, brought to what is declared, and refused with their place in the file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { defaultSeed, parseSeed } from '../src/seed/seed.ts';
import { startTestServer } from './harness/server.ts';

const dir = mkdtempSync(join(tmpdir(), 'seed-services-'));
afterAll(() => rmSync(dir, { recursive: true }));
const POOL = 'projects/demo/locations/global/workloadIdentityPools/ci-pool';
const provider = (issuerUri: string) => ({ id: 'ci-oidc', disabled: false, oidc: { issuerUri }, attributeMapping: { 'google.subject': 'assertion.sub' } });
const seed = (parts: object) => {
  const file = join(dir, 'seed.json');
  writeFileSync(file, JSON.stringify({ ...defaultSeed(), ...parts }));
  return file;
};

test('a changed seed brings what is there to what it declares, and leaves the rest', async () => {
  const key = (description: string, ...values: string[]) => ({ name: '111111111111/env', description, values: values.map((shortName) => ({ shortName })) });
  const first = await startTestServer({
    seed: seed({
      tagKeys: [key('one', 'prod')],
      tagBindings: [{ resource: 'projects/demo', tagValue: '111111111111/env/prod' }],
      workloadIdentityPools: [{ name: POOL, displayName: 'CI', providers: [provider('https://one.example.com')] }],
    }),
  });
  const before = (await first.call('GET', `/iam.googleapis.com/v1/${POOL}`)).json;
  seed({
    tagKeys: [key('two', 'prod', 'test')],
    tagBindings: [{ resource: 'projects/demo', tagValue: '111111111111/env/prod' }],
    workloadIdentityPools: [{ name: POOL, displayName: 'CI', providers: [provider('https://two.example.com')] }],
  });
  const second = await first.restart();
  try {
    const resources = '/cloudresourcemanager.googleapis.com/v3';
    const [found] = (await second.call('GET', `${resources}/tagKeys?parent=organizations/111111111111`)).json.tagKeys;
    expect(found).toMatchObject({ namespacedName: '111111111111/env', description: 'two' });
    expect((await second.call('GET', `${resources}/tagValues?parent=${found.name}`)).json.tagValues).toHaveLength(2);
    expect((await second.call('GET', `${resources}/tagBindings?parent=//cloudresourcemanager.googleapis.com/projects/demo`)).json.tagBindings).toHaveLength(1);
    expect((await second.call('GET', `/iam.googleapis.com/v1/${POOL}/providers/ci-oidc`)).json.oidc.issuerUri).toBe('https://two.example.com');
    // Nothing was declared of the pool that it did not have.
    expect((await second.call('GET', `/iam.googleapis.com/v1/${POOL}`)).json).toEqual(before);
  } finally {
    await second.close();
  }
});

test.each([
  [{ tagBindings: [{ resource: 'projects/demo', tagValue: '111111111111/no/tag' }] }, 'tagBindings[0]'],
  [{ tagKeys: [{ name: '999999999999/env' }] }, 'tagKeys[0]'],
  [{ workloadIdentityPools: [{ name: POOL, providers: [{ id: 'ci-oidc' }] }] }, 'workloadIdentityPools[0]'],
])('%j cannot be applied, and the place is named', async (parts, place) => {
  await expect(startTestServer({ seed: seed(parts) })).rejects.toThrow(`The seed cannot be applied: ${place}: `);
});

test.each([
  [{ tagKeys: [{ name: 'env' }] }, 'tagKeys[0].name is "env": must be a namespaced name'],
  [{ tagBindings: [{ resource: 'demo', tagValue: '1/a/b' }] }, 'tagBindings[0].resource is "demo": must be projects/ID'],
  [{ workloadIdentityPools: [{ name: 'ci-pool' }] }, 'workloadIdentityPools[0].name is "ci-pool": must be projects/ID/locations/global'],
])('%j is refused when it is read', (parts, message) => {
  expect(() => parseSeed(JSON.stringify(parts), 'seed.yaml')).toThrow(message);
});
