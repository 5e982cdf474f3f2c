/**
 * The active leases of this process in memory, for those that must answer at once: the metadata server, and the driver before it reads
 * a byte of a connection. An address is in it from the commit of its lease until its attempt has ended.
 */
import type { LeaseRow } from '../store/leases.ts';
import type { AttemptId } from './driver.ts';

/** The attempt at an address. */
export interface Tenant {
  readonly attemptId: AttemptId;
  readonly taskUid: string;
  readonly executionUid: string;
  /** E-mail of the account that the task runs as. */
  readonly serviceAccount: string;
  readonly projectId: string;
  readonly location: string;
}

export interface LeaseTable {
  /** @param address IPv4 address or random host name */
  lookup(address: string): Tenant | undefined;
  isLeased(address: string): boolean;
  add(lease: LeaseRow): void;
  /** By attempt, since an ended attempt's address may be somebody else's by now. */
  remove(attemptId: AttemptId): void;
}

export function createLeaseTable(): LeaseTable {
  const tenants = new Map<string, Tenant>();
  const addresses = new Map<AttemptId, string>();
  return {
    lookup: (address) => tenants.get(address),
    isLeased: (address) => tenants.has(address),
    add(lease) {
      tenants.set(lease.address, {
        attemptId: lease.attempt_id,
        taskUid: lease.task_uid,
        executionUid: lease.execution_uid,
        serviceAccount: lease.service_account,
        projectId: lease.project_id,
        location: lease.location,
      });
      addresses.set(lease.attempt_id, lease.address);
    },
    remove(attemptId) {
      const address = addresses.get(attemptId);
      addresses.delete(attemptId);
      if (address !== undefined && tenants.get(address)?.attemptId === attemptId) tenants.delete(address);
    },
  };
}
