/** `actas iam diff`: what a person sees, the JSON, and the exit codes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../src/cli/test-shell.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'actas-policy-diff-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const SEED = `
organizations: [{ number: 400000000001, displayName: shop.example }]
projects: [{ id: shop-prod, number: 400000000003, parent: organizations/400000000001 }]
serviceAccounts: [{ project: shop-prod, id: nightly-report }]
groups: [{ email: team@shop.example, members: ["user:dev@shop.example"] }]
policies:
  - resource: projects/shop-prod/serviceAccounts/nightly-report@shop-prod.iam.gserviceaccount.com
    bindings: [{ role: roles/iam.serviceAccountUser, members: ["user:old@shop.example"] }]
`;
const file = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};

test('who gains and who loses, the gravest first', async () => {
  const after = SEED.replace('user:old@shop.example', 'group:team@shop.example').concat(
    '  - resource: projects/shop-prod\n    bindings: [{ role: roles/iam.serviceAccountTokenCreator, members: ["user:new\u001b[31m@shop.example"] }]\n',
  );
  const { code, out } = await run(['iam', 'diff', file('a.yaml', SEED), file('b.yaml', after)]);
  expect(code).toBe(8);
  expect(out).toMatchInlineSnapshot(`
    "Newly possible:
    ! user:dev@shop.example can newly act as nightly-report@shop-prod.iam.gserviceaccount.com
        iam.serviceAccounts.actAs, iam.serviceAccounts.get, iam.serviceAccounts.list, resourcemanager.projects.get and 1 more
        by roles/iam.serviceAccountUser on service account nightly-report@shop-prod.iam.gserviceaccount.com, by way of user:dev@shop.example > group:team@shop.example
    ! user:new?[31m@shop.example can newly act as every service account of project shop-prod: 400000000003-compute@developer.gserviceaccount.com, nightly-report@shop-prod.iam.gserviceaccount.com
        iam.serviceAccounts.getAccessToken, iam.serviceAccounts.getOpenIdToken, iam.serviceAccounts.implicitDelegation, iam.serviceAccounts.signBlob and 5 more
        by roles/iam.serviceAccountTokenCreator on project shop-prod

    No longer possible:
    - user:old@shop.example can no longer act as nightly-report@shop-prod.iam.gserviceaccount.com
        iam.serviceAccounts.actAs, iam.serviceAccounts.get, iam.serviceAccounts.list, resourcemanager.projects.get and 1 more
        by roles/iam.serviceAccountUser on service account nightly-report@shop-prod.iam.gserviceaccount.com
    "
  `);
  const back = await run(['iam', 'diff', join(dir, 'b.yaml'), join(dir, 'a.yaml'), '--format=json']);
  const { gains, losses } = JSON.parse(back.out);
  expect([back.code, gains.length, losses.length]).toEqual([8, 1, 2]);
  expect(gains[0]).toMatchObject({ principal: 'user:old@shop.example', kind: 'act', accounts: ['nightly-report@shop-prod.iam.gserviceaccount.com'] });
});

test('nothing changes, and something is lost alone', async () => {
  const less = SEED.slice(0, SEED.indexOf('policies:'));
  expect(await run(['iam', 'diff', file('a.yaml', SEED), join(dir, 'a.yaml')])).toMatchObject({ code: 0, out: 'Nobody gains or loses anything.\n', err: '' });
  expect(await run(['iam', 'diff', join(dir, 'a.yaml'), file('less.yaml', less)])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^Nobody gains anything\.\n\nNo longer possible:\n- user:old@shop\.example can no longer act as nightly-report@/),
  });
});

test.each([
  [['iam', 'diff'], 2, "missing required argument 'before'"],
  [['iam', 'diff', '/absent.yaml', '/absent.yaml'], 1, 'Cannot read /absent.yaml'],
  [['iam', 'diff', '/absent.yaml', '/absent.yaml', '--resource=what is this'], 2, "'what is this' is not the name of a resource."],
])('%j is refused', async (line, code, message) => {
  expect(await run(line)).toMatchObject({ code, err: expect.stringContaining(message) });
});
test('a lone seed is refused', async () => {
  expect(await run(['iam', 'diff', file('a.yaml', SEED)])).toMatchObject({ code: 1, err: expect.stringContaining('Name two files.') });
});
