/** gRPC GetJob against a bare connect-node server that answers the same message. */
import { toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { JobSchema, Jobs } from '../src/gen/google/cloud/run/v2/job_pb.js';
import { inTurn } from './load.ts';
import { startActas, startScript } from './process.ts';
import type { Figure } from './run.ts';
import { SAMPLE_JOB } from './sample-job.ts';

const NAME = 'projects/demo/locations/us-central1/jobs/bench';

export async function getJobGrpc(): Promise<readonly Figure[]> {
  const actas = await startActas(['--driver', 'fake']);
  const headers = { authorization: `Bearer ${actas.token}` };
  try {
    await fetch(`${actas.url}/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs?jobId=bench`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(SAMPLE_JOB),
    });
    const client = (url: string) => createClient(Jobs, createGrpcTransport({ baseUrl: url }));
    const ours = client(actas.url);
    const job = await ours.getJob({ name: NAME }, { headers });
    const plain = await startScript('plain-connect.ts', [Buffer.from(toBinary(JobSchema, job)).toString('base64')]);
    const measure = async (target: ReturnType<typeof client>, seconds = 4): Promise<number> => {
      const began = performance.now();
      let done = 0;
      await Promise.all(
        Array.from({ length: 16 }, async () => {
          while (performance.now() < began + seconds * 1000) {
            await target.getJob({ name: NAME }, { headers });
            done++;
          }
        }),
      );
      return done / ((performance.now() - began) / 1000);
    };
    const bare = client(`http://127.0.0.1:${plain.port}`);
    await measure(ours, 1);
    await measure(bare, 1);
    const result = await inTurn(
      () => measure(ours),
      () => measure(bare),
    );
    await plain.end();
    return [{ name: 'get-job-grpc', what: 'gRPC GetJob and a bare connect-node server that answers the same message', unit: 'answers/s', goal: { atLeast: 0.5 }, ...result }];
  } finally {
    await actas.stop();
  }
}
