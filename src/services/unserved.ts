/** The protos' other services: each answers UNIMPLEMENTED by its own name, to those who are known. */
import { Builds } from '../gen/google/cloud/run/v2/build_pb.js';
import { Instances } from '../gen/google/cloud/run/v2/instance_pb.js';
import { Revisions } from '../gen/google/cloud/run/v2/revision_pb.js';
import { Services } from '../gen/google/cloud/run/v2/service_pb.js';
import { WorkerPools } from '../gen/google/cloud/run/v2/worker_pool_pb.js';
import { type AnyService, unimplementedService } from './service.ts';

export function createUnservedRunServices(): readonly AnyService[] {
  return [Services, Revisions, WorkerPools, Instances, Builds].map((desc) => unimplementedService(desc, 'run.googleapis.com'));
}
