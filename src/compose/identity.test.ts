import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAccountStatuses } from '../identity/account-status.ts';
import { createLeaseTable } from '../runner/lease-table.ts';
import { openStore, type Store } from '../store/database.ts';
import { taskLookup } from './identity.ts';

let dir: string;
let store: Store;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'identity-'));
  store = await openStore(dir);
});
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

function lease(address: string, attemptId: string) {
  const account = `${attemptId}-sa@demo.iam.gserviceaccount.com`;
  return {
    address,
    attempt_id: attemptId,
    task_uid: '',
    execution_uid: '',
    service_account: account,
    project_id: 'demo',
    location: 'us-central1',
    create_time: 1,
    release_time: null,
  };
}

test('a task is who its address says, or its random host name; the address of another in Host says nothing', async () => {
  const leases = createLeaseTable();
  leases.add(lease('172.20.0.5', 'first'));
  leases.add(lease('fd00::5', 'second'));
  leases.add(lease('0123456789abcdef.internal', 'third'));
  const find = taskLookup(
    store,
    leases,
    createAccountStatuses(async () => ({ active: true, uniqueId: '1' })),
    {},
  );
  const who = async (remoteAddress: string, host?: string) => (await find({ remoteAddress, host }))?.attemptId;
  expect(await who('172.20.0.5')).toBe('first');
  expect(await who('172.20.0.5', '172.20.0.9')).toBe('first');
  expect(await who('127.0.0.1', '0123456789abcdef.internal:80')).toBe('third');
  // From an address that is nobody's, or whose lease has ended.
  for (const host of ['172.20.0.5', '172.20.0.5:80', 'fd00::5', '[fd00::5]', 'metadata.google.internal', '', undefined]) expect(await who('172.20.0.77', host)).toBeUndefined();
});
