/** A bare connect-node server that echoes a Job over gRPC. Started by get-job-grpc. Its one argument is the Job in base64. */
import { createServer } from 'node:http2';
import { fromBinary } from '@bufbuild/protobuf';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { JobSchema, Jobs } from '../src/gen/google/cloud/run/v2/job_pb.js';

const job = fromBinary(JobSchema, Buffer.from(process.argv[2] ?? '', 'base64'));
const server = createServer(connectNodeAdapter({ routes: (router) => router.service(Jobs, { getJob: () => job }), connect: false, grpcWeb: false })).listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' ? address?.port : '');
});
