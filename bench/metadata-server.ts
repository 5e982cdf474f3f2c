/**
 * The metadata server as the program builds it, on a store of its own, for callers on loopback who are leased tasks: by their address one of
 * the project's default account, by the host names `task-0`, `task-1`, ... one of an account each. Started by metadata-token; prints its port.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFront } from '../src/compose/front.ts';
import { loadConfig } from '../src/config.ts';
import { createTokens } from '../src/identity/tokens.ts';
import { createLeaseTable } from '../src/runner/lease-table.ts';
import { createLogger } from '../src/server/logger.ts';
import { createMetrics } from '../src/server/metrics.ts';
import { accessTokenStore } from '../src/store/access-tokens.ts';
import { openStore } from '../src/store/database.ts';
import { openLogStore } from '../src/store/log-store.ts';
import { openKeyring } from '../src/store/secret-keyring.ts';
import { insertServiceAccount } from '../src/store/service-accounts.ts';
import { systemClock } from '../src/timestamp.ts';

const accounts = Number(process.argv[2] ?? 1);
const dataDir = mkdtempSync(join(tmpdir(), 'actas-bench-metadata-'));
const store = await openStore(dataDir);
const logs = await openLogStore(dataDir);
const leases = createLeaseTable();
const log = createLogger({ level: 'error', format: 'text' });
const front = createFront({
  config: loadConfig({ dataDir, driver: 'fake' }, {}),
  store,
  logs,
  tokens: createTokens({ store: accessTokenStore(store), clock: systemClock }),
  names: new Set(),
  leases,
  keyring: openKeyring(join(dataDir, 'secrets-key')),
  metrics: createMetrics(),
  log,
  ownPort: () => undefined,
  status() {
    throw new Error('nobody asks');
  },
  isReady: () => false,
  authority: () => Promise.reject(new Error('no TLS here')),
});
await front.seed(undefined);

const lease = (address: string, serviceAccount: string): void =>
  leases.add({
    address,
    attempt_id: `${address}-0`,
    task_uid: address,
    execution_uid: address,
    service_account: serviceAccount,
    project_id: 'demo',
    location: 'us-central1',
    create_time: 0,
    release_time: null,
  });
const now = systemClock.now();
for (let i = 0; i < accounts; i++) {
  const email = `bench-${i}@demo.iam.gserviceaccount.com`;
  await store.write(async (tx) => {
    await insertServiceAccount(tx.db, { projectId: 'demo', email, displayName: '', description: '', createTime: now });
    tx.touch('serviceAccounts');
  });
  lease(`task-${i}`, email);
}
// As a relay says whose connection it carries: an address of the tasks' network, or none, where the host name tells.
const byAddress = '10.88.0.2';
lease(byAddress, '123456789012-compute@developer.gserviceaccount.com');
const server = createServer({ noDelay: true }, (socket) => front.metadata.serve(socket, accounts === 0 ? byAddress : undefined)).listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' ? address?.port : '');
});
process.once('SIGTERM', () => {
  rmSync(dataDir, { recursive: true, force: true });
  process.exit(0);
});
