import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../config.ts';
import { startServer } from '../main.ts';

test('requests that come before anything is loaded are all answered, health among them', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'actas-front-'));
  const start = () => startServer(loadConfig({ dataDir, port: 0, driver: 'fake', logLevel: 'silent' }, {}));
  // The first start of a directory loads the front to seed it; the second is the one that is meant.
  await (await start()).close();
  const server = await start();
  const headers = { authorization: `Bearer ${readFileSync(server.tokenFile, 'utf8').trim()}`, connection: 'close' };
  const paths = [
    '/healthz',
    '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs',
    '/cloudresourcemanager.googleapis.com/v3/projects/demo',
    '/iam.googleapis.com/v1/projects/demo/serviceAccounts',
    '/no/such/method',
  ];
  const answers = await Promise.all([...paths, ...paths].map((path) => fetch(`${server.url}${path}`, { headers })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 404, 200, 200, 200, 200, 404]);
  await server.close();
  rmSync(dataDir, { recursive: true, force: true });
});
