/** One stored model, two views: what one version says is what the other reads, for every field that both know. */
import { create, equals, type MessageInitShape, toJsonString } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JobSchema as V1JobSchema } from '../../../gen/google/cloud/run/v1/resources_pb.js';
import { type Job, JobSchema } from '../../../gen/google/cloud/run/v2/job_pb.js';
import { ContainerSchema, EmptyDirVolumeSource_Medium, VolumeSchema } from '../../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { VpcAccess_VpcEgress, VpcAccessSchema } from '../../../gen/google/cloud/run/v2/vendor_settings_pb.js';
import { desiredJob } from '../validate-job.ts';
import { jobToV1, jobToV2 } from './objects.ts';

const RUNS = 1000;
const NUMBER = '123456789012';
const NAME = 'projects/demo/locations/us-central1/jobs/hello';

const word = fc.stringMatching(/^[a-z][a-z0-9]{3,12}$/);
const text = fc.string({ maxLength: 20 });
const pairs = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9]{1,10}$/), fc.stringMatching(/^[a-z0-9_-]{0,10}$/), { maxKeys: 3 });
const secret = fc.oneof(
  word,
  fc.tuple(word, word).map(([project, name]) => `projects/${project}/secrets/${name}`),
);
const env = fc.uniqueArray(
  fc.record({
    name: fc.stringMatching(/^[A-Z][A-Z_]{0,8}$/).filter((name) => !name.startsWith('CLOUD_RUN') && !name.startsWith('X_GOOGLE')),
    values: fc.oneof(
      text.map((value) => ({ case: 'value' as const, value })),
      secret.map((name) => ({ case: 'valueSource' as const, value: { secretKeyRef: { secret: name, version: 'latest' } } })),
    ),
  }),
  { maxLength: 4, selector: ({ name }) => name },
);
const probe = fc.record({
  initialDelaySeconds: fc.integer({ min: 0, max: 200 }),
  timeoutSeconds: fc.constant(1),
  periodSeconds: fc.integer({ min: 1, max: 200 }),
  failureThreshold: fc.integer({ min: 1, max: 20 }),
  probeType: fc.oneof(
    fc.record({ path: word.map((path) => `/${path}`), port: fc.integer({ min: 1, max: 65_535 }) }).map((value) => ({ case: 'httpGet' as const, value })),
    fc.integer({ min: 1, max: 65_535 }).map((port) => ({ case: 'tcpSocket' as const, value: { port } })),
    fc.record({ port: fc.integer({ min: 1, max: 65_535 }), service: word }).map((value) => ({ case: 'grpc' as const, value })),
  ),
});
const volume = fc.oneof(
  fc
    .record({
      secret,
      items: fc.uniqueArray(fc.record({ path: word, version: fc.constant('1'), mode: fc.constantFrom(0, 0o444) }), { maxLength: 2, selector: ({ path }) => path }),
      defaultMode: fc.constantFrom(0, 0o400),
    })
    .map((value) => ({ case: 'secret' as const, value })),
  fc.constant({ case: 'emptyDir' as const, value: { medium: EmptyDirVolumeSource_Medium.MEMORY, sizeLimit: '64Mi' } }),
  fc.record({ server: word, path: word.map((path) => `/${path}`), readOnly: fc.boolean() }).map((value) => ({ case: 'nfs' as const, value })),
  fc.record({ bucket: word, readOnly: fc.boolean(), mountOptions: fc.array(word, { maxLength: 2 }) }).map((value) => ({ case: 'gcs' as const, value })),
);
const vpc = fc.oneof(
  fc.boolean().map(() => ({ connector: 'projects/demo/locations/us-central1/connectors/c', egress: VpcAccess_VpcEgress.ALL_TRAFFIC })),
  fc
    .record({ network: word, subnetwork: word, tags: fc.array(word, { maxLength: 2 }) })
    .map((network) => ({ connector: '', egress: VpcAccess_VpcEgress.PRIVATE_RANGES_ONLY, networkInterfaces: [network] })),
);

const job: fc.Arbitrary<Job> = fc
  .record({
    labels: pairs,
    annotations: pairs,
    template: pairs,
    templateAnnotations: pairs,
    client: word,
    taskCount: fc.integer({ min: 1, max: 50 }),
    parallelism: fc.integer({ min: 0, max: 1 }),
    retries: fc.integer({ min: 0, max: 10 }),
    timeout: fc.integer({ min: 1, max: 3600 }),
    image: word,
    args: fc.array(text, { maxLength: 3 }),
    command: fc.array(word, { maxLength: 2 }),
    workingDir: fc.constantFrom('', '/work'),
    env,
    volumes: fc.array(volume, { maxLength: 3 }),
    sidecar: fc.option(probe, { nil: undefined }),
    cloudSql: fc.uniqueArray(
      word.map((name) => `demo:us-central1:${name}`),
      { maxLength: 2 },
    ),
    vpcAccess: fc.option(vpc, { nil: undefined }),
    key: fc.constantFrom('', 'projects/p/locations/l/keyRings/r/cryptoKeys/k'),
    binary: fc.constantFrom(undefined, 'default', 'projects/demo/platforms/cloudRun/strict'),
    account: word.map((name) => `${name}@demo.iam.gserviceaccount.com`),
  })
  .map((given) => {
    const volumes = given.volumes.map((volumeType, index) => create(VolumeSchema, { name: `v${index}`, volumeType }));
    const sql = given.cloudSql.length === 0 ? [] : [create(VolumeSchema, { name: 'cloudsql', volumeType: { case: 'cloudSqlInstance', value: { instances: given.cloudSql } } })];
    const sqlMount = sql.length === 0 ? [] : [{ name: 'cloudsql', mountPath: '/cloudsql' }];
    const main = create(ContainerSchema, {
      name: given.sidecar === undefined ? '' : 'main',
      image: given.image,
      args: given.args,
      command: given.command,
      workingDir: given.workingDir,
      env: given.env,
      volumeMounts: [...volumes.map(({ name }) => ({ name, mountPath: `/mnt/${name}` })), ...sqlMount],
      dependsOn: given.sidecar === undefined ? [] : ['proxy'],
    });
    const proxy = given.sidecar === undefined ? [] : [create(ContainerSchema, { name: 'proxy', image: 'proxy', startupProbe: given.sidecar, volumeMounts: sqlMount })];
    return create(JobSchema, {
      labels: given.labels,
      annotations: given.annotations,
      client: given.client,
      clientVersion: given.client === '' ? '' : '1.0',
      ...(given.binary === undefined
        ? {}
        : {
            binaryAuthorization: { binauthzMethod: given.binary === 'default' ? { case: 'useDefault' as const, value: true } : { case: 'policy' as const, value: given.binary } },
          }),
      template: {
        labels: given.template,
        annotations: given.templateAnnotations,
        taskCount: given.taskCount,
        parallelism: Math.min(given.parallelism, given.taskCount),
        template: {
          containers: [main, ...proxy],
          volumes: [...volumes, ...sql],
          retries: { case: 'maxRetries' as const, value: given.retries },
          timeout: create(DurationSchema, { seconds: BigInt(given.timeout) }),
          serviceAccount: given.account,
          encryptionKey: given.key,
          ...(given.vpcAccess === undefined ? {} : { vpcAccess: create(VpcAccessSchema, given.vpcAccess) }),
        },
      },
    });
  });

/** As it is stored: checked, with its defaults. */
function stored(sent: MessageInitShape<typeof JobSchema>): Job {
  return create(JobSchema, { ...desiredJob(create(JobSchema, sent), 'CreateJobRequest', 'default@demo.iam.gserviceaccount.com').job, name: NAME });
}

describe('v1 and v2', () => {
  it(`${RUNS} jobs from v2 to v1 and back lose nothing`, () => {
    fc.assert(
      fc.property(job, (sent) => {
        const before = stored(sent);
        const after = stored(jobToV2(create(V1JobSchema, jobToV1(before, NUMBER))));
        if (!equals(JobSchema, before, after)) expect(toJsonString(JobSchema, after, { prettySpaces: 1 })).toBe(toJsonString(JobSchema, before, { prettySpaces: 1 }));
      }),
      { numRuns: RUNS },
    );
  });

  it(`${RUNS} jobs from v1 to v2 and back lose nothing`, () => {
    fc.assert(
      fc.property(job, (sent) => {
        const before = create(V1JobSchema, jobToV1(stored(sent), NUMBER));
        const after = create(V1JobSchema, jobToV1(stored(jobToV2(before)), NUMBER));
        if (!equals(V1JobSchema, before, after)) expect(toJsonString(V1JobSchema, after, { prettySpaces: 1 })).toBe(toJsonString(V1JobSchema, before, { prettySpaces: 1 }));
      }),
      { numRuns: RUNS },
    );
  });
});
