/** Pools: groups of outside identities of one project. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { FieldMask } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../../errors.ts';
import {
  type WorkloadIdentityPool,
  WorkloadIdentityPool_State,
  WorkloadIdentityPoolSchema,
  type WorkloadIdentityPools,
} from '../../gen/google/iam/v1/workload_identity_pools_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import type { Db, Store, Tx } from '../../store/database.ts';
import { insertWorkloadIdentity, listWorkloadIdentity, updateWorkloadIdentity, type WorkloadIdentityNoun, type WorkloadIdentityRow } from '../../store/workload-identity.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import type { Methods } from '../service.ts';
import { checkId, checkOn, checkTexts, getLivingRow, getRow, KEPT_MICROS, markRow, newEtag, refuseTaken, storedName } from './names.ts';
import { recordOperation } from './pool-operations.ts';

type PoolMethods = Pick<
  Methods<typeof WorkloadIdentityPools>,
  | 'listWorkloadIdentityPools'
  | 'getWorkloadIdentityPool'
  | 'createWorkloadIdentityPool'
  | 'updateWorkloadIdentityPool'
  | 'deleteWorkloadIdentityPool'
  | 'undeleteWorkloadIdentityPool'
>;
const NOUN = 'workload_identity_pools';

export function poolMethods(store: Store): PoolMethods {
  return {
    listWorkloadIdentityPools: {
      access: { checks: ({ parent }) => checkOn('location', 'workloadIdentityPools.list', parent, 'parent') },
      async handle(request) {
        const page = await listPage(store.read, NOUN, { ...request, parent: await storedName(store.read, 'location', request.parent, 'parent') });
        return { workloadIdentityPools: page.rows.map(poolFromRow), nextPageToken: page.nextPageToken };
      },
    },
    getWorkloadIdentityPool: {
      access: { checks: ({ name }) => checkOn('pool', 'workloadIdentityPools.get', name) },
      handle: async ({ name }) => poolFromRow(await getRow(store.read, NOUN, await storedName(store.read, 'pool', name))),
    },
    createWorkloadIdentityPool: {
      access: { checks: ({ parent }) => checkOn('location', 'workloadIdentityPools.create', parent, 'parent') },
      async handle({ parent, workloadIdentityPool: given, workloadIdentityPoolId: id }, call) {
        checkId('workload_identity_pool_id', id);
        const pool = create(WorkloadIdentityPoolSchema, given);
        checkTexts('workload_identity_pool', pool);
        return store.write(async (tx) => {
          const at = await storedName(tx.db, 'location', parent, 'parent');
          const row = toRow(`${at}/workloadIdentityPools/${id}`, at, pool, call.now());
          await refuseTaken(tx.db, NOUN, row.name, call.now());
          await insertWorkloadIdentity(tx.db, NOUN, row);
          return changed(tx, row, call.now());
        });
      },
    },
    updateWorkloadIdentityPool: {
      access: { checks: ({ workloadIdentityPool }) => checkOn('pool', 'workloadIdentityPools.update', workloadIdentityPool?.name ?? '', 'workload_identity_pool.name') },
      handle: ({ workloadIdentityPool: given, updateMask }, call) =>
        store.write(async (tx) => {
          const row = await getLivingRow(tx.db, NOUN, await storedName(tx.db, 'pool', given?.name ?? ''));
          const body = toBinary(WorkloadIdentityPoolSchema, maskedPool(fromBinary(WorkloadIdentityPoolSchema, row.body), create(WorkloadIdentityPoolSchema, given), updateMask));
          const next = { ...row, body, etag: newEtag() };
          await updateWorkloadIdentity(tx.db, NOUN, row.name, { body, etag: next.etag });
          return changed(tx, next, call.now());
        }),
    },
    deleteWorkloadIdentityPool: {
      access: { checks: ({ name }) => checkOn('pool', 'workloadIdentityPools.delete', name) },
      handle: ({ name }, call) => markRow(store, 'pool', name, 'deleted', (tx, row) => changed(tx, row, call.now()), call.now()),
    },
    undeleteWorkloadIdentityPool: {
      access: { checks: ({ name }) => checkOn('pool', 'workloadIdentityPools.undelete', name) },
      handle: ({ name }, call) => markRow(store, 'pool', name, 'active', (tx, row) => changed(tx, row, call.now()), call.now()),
    },
  };
}

/** One page of pools or providers. */
export async function listPage(
  db: Db,
  noun: WorkloadIdentityNoun,
  { parent, pageSize: size, pageToken, showDeleted }: { readonly parent: string; readonly pageSize: number; readonly pageToken: string; readonly showDeleted: boolean },
): Promise<{ rows: WorkloadIdentityRow[]; nextPageToken: string }> {
  const query = [noun, parent, showDeleted];
  const limit = pageSize(size, 50, 1000);
  const after = String(decodePageToken(query, pageToken)?.[0] ?? '');
  const rows = await listWorkloadIdentity(db, noun, { parent, after, limit: limit + 1, showDeleted });
  const more = rows.length > limit;
  const page = rows.slice(0, limit);
  return { rows: page, nextPageToken: more ? encodePageToken(query, [page.at(-1)?.name ?? '']) : '' };
}

/** Tokens of the pool are looked at again from now on. */
function changed(tx: Tx, row: WorkloadIdentityRow, now: Micros) {
  tx.touch('federation');
  return recordOperation(tx.db, row.name, WorkloadIdentityPoolSchema, create(WorkloadIdentityPoolSchema, poolFromRow(row)), now);
}

function toRow(name: string, parent: string, pool: WorkloadIdentityPool, now: Micros): WorkloadIdentityRow {
  const { displayName, description, disabled } = pool;
  const body = toBinary(WorkloadIdentityPoolSchema, create(WorkloadIdentityPoolSchema, { displayName, description, disabled }));
  return { name, parent, body, etag: newEtag(), create_time: now, delete_time: null };
}

function poolFromRow(row: WorkloadIdentityRow): MessageInitShape<typeof WorkloadIdentityPoolSchema> {
  const { displayName, description, disabled } = fromBinary(WorkloadIdentityPoolSchema, row.body);
  const life =
    row.delete_time === null ? { state: WorkloadIdentityPool_State.ACTIVE } : { state: WorkloadIdentityPool_State.DELETED, expireTime: toTimestamp(row.delete_time + KEPT_MICROS) };
  return { name: row.name, displayName, description, disabled, ...life };
}

/** @throws INVALID_ARGUMENT for a mask that is empty or names what cannot be changed */
function maskedPool(current: WorkloadIdentityPool, given: WorkloadIdentityPool, mask: FieldMask | undefined): WorkloadIdentityPool {
  const next = { ...current };
  for (const path of requiredPaths(mask)) {
    if (path === 'display_name') next.displayName = given.displayName;
    else if (path === 'description') next.description = given.description;
    else if (path === 'disabled') next.disabled = given.disabled;
    else throw invalidArgument('update_mask', `${JSON.stringify(path)} cannot be changed. Known: display_name, description, disabled.`);
  }
  checkTexts('workload_identity_pool', next);
  return next;
}

export function requiredPaths(mask: FieldMask | undefined): readonly string[] {
  if (mask === undefined || mask.paths.length === 0) throw invalidArgument('update_mask', 'is required: it names the fields to change.');
  return mask.paths;
}
