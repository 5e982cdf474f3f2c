/** Whether a workload identity pool provider still vouches for anybody: it, its pool and its project are alive, and none is disabled. */
import { fromBinary } from '@bufbuild/protobuf';
import { type WorkloadIdentityPoolProvider, WorkloadIdentityPoolProviderSchema, WorkloadIdentityPoolSchema } from '../gen/google/iam/v1/workload_identity_pools_pb.js';
import type { Db } from './database.ts';
import { findProject } from './projects.ts';
import { findWorkloadIdentity } from './workload-identity.ts';

/** @param name as stored, with the project's number @returns undefined where it does not vouch, whatever the reason */
export async function findActiveProvider(db: Db, name: string): Promise<WorkloadIdentityPoolProvider | undefined> {
  const [, projectNumber = ''] = name.split('/');
  const row = await findWorkloadIdentity(db, 'workload_identity_providers', name);
  const pool = await findWorkloadIdentity(db, 'workload_identity_pools', name.slice(0, name.indexOf('/providers/')));
  const project = await findProject(db, projectNumber);
  if (row === undefined || pool === undefined || row.delete_time !== null || pool.delete_time !== null || project?.state !== 'ACTIVE') return undefined;
  const provider = fromBinary(WorkloadIdentityPoolProviderSchema, row.body);
  return provider.disabled || fromBinary(WorkloadIdentityPoolSchema, pool.body).disabled ? undefined : provider;
}
