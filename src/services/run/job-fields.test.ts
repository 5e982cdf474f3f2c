/** Every field of a Job that a caller may set survives create, get, update and get. */
import { create, type MessageInitShape, toJson } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LaunchStage } from '../../gen/google/api/launch_stage_pb.js';
import { type Job, JobSchema, Jobs } from '../../gen/google/cloud/run/v2/job_pb.js';
import type { ContainerSchema } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { createFixture, type Fixture, PARENT } from './run-fixture.ts';

let f: Fixture;
beforeAll(async () => {
  f = await createFixture();
});
afterAll(() => f.close());

const label = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/).filter((text) => !text.endsWith('-'));
const text = fc.string({ maxLength: 12, unit: 'grapheme' }).map((raw) => raw.replaceAll('\0', ''));
const labels = fc.dictionary(label, fc.stringMatching(/^[a-z0-9_-]{0,12}$/), { maxKeys: 3, noNullPrototype: true });
const annotations = fc.dictionary(
  label.map((key) => `example.com/${key}`),
  text,
  { maxKeys: 3, noNullPrototype: true },
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const one = <C extends string, T>(kind: C, arbitrary: fc.Arbitrary<T>) => arbitrary.map((value) => ({ case: kind, value }));
const secret = fc.constantFrom('s', 'projects/other/secrets/s_1');
const port = fc.integer({ min: 1, max: 65_535 });

const volumeType = fc.oneof(
  one(
    'secret',
    fc.record({
      secret,
      defaultMode: fc.integer({ min: 0, max: 0o777 }),
      items: fc.uniqueArray(fc.record({ path: label, version: fc.constantFrom('latest', '1'), mode: fc.integer({ min: 0, max: 0o777 }) }), {
        maxLength: 2,
        selector: (item) => item.path,
      }),
    }),
  ),
  one('cloudSqlInstance', fc.record({ instances: fc.array(fc.constantFrom('p:us-central1:i', 'example.com:p:us-central1:i'), { maxLength: 2 }) })),
  one('emptyDir', fc.record({ medium: fc.constantFrom(0, 1), sizeLimit: fc.constantFrom('', '10Mi', '1G') })),
  one('nfs', fc.record({ server: label, path: label.map((part) => `/${part}`), readOnly: fc.boolean() })),
  one('gcs', fc.record({ bucket: label.map((part) => `b-${part}`), readOnly: fc.boolean(), mountOptions: fc.array(text, { maxLength: 2 }) })),
);
const probe = fc.record({
  initialDelaySeconds: fc.integer({ min: 0, max: 240 }),
  timeoutSeconds: fc.integer({ min: 1, max: 5 }),
  periodSeconds: fc.integer({ min: 5, max: 240 }),
  failureThreshold: fc.integer({ min: 1, max: 9 }),
  probeType: fc.oneof(
    one('httpGet', fc.record({ path: fc.constantFrom('', '/', '/x'), port, httpHeaders: fc.array(fc.record({ name: label, value: label }), { maxLength: 2 }) })),
    one('tcpSocket', fc.record({ port })),
    one('grpc', fc.record({ port, service: text })),
  ),
});
const env = fc.uniqueArray(
  fc.record({
    name: fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,9}$/),
    values: fc.oneof(one('value', text), one('valueSource', fc.record({ secretKeyRef: fc.record({ secret, version: fc.constantFrom('latest', '7', 'alias') }) }))),
  }),
  { maxLength: 3, selector: (variable) => variable.name },
);
const containerBody = fc.record({
  image: fc.constantFrom('alpine', 'docker.io/library/alpine:3', `gcr.io/p/i@sha256:${'b'.repeat(64)}`),
  command: fc.array(text, { maxLength: 2 }),
  args: fc.array(text, { maxLength: 2 }),
  env,
  resources: fc.record({
    limits: fc.constantFrom({ cpu: '1000m', memory: '512Mi' }, { cpu: '2', memory: '4Gi' }, { cpu: '1', memory: '1G' }),
    cpuIdle: fc.boolean(),
    startupCpuBoost: fc.boolean(),
  }),
  ports: fc.array(fc.record({ name: fc.constantFrom('', 'http1', 'h2c'), containerPort: port }), { maxLength: 1 }),
  workingDir: fc.constantFrom('', '/', '/work'),
  livenessProbe: maybe(probe),
  startupProbe: maybe(probe),
  readinessProbe: maybe(probe),
  sourceCode: maybe(fc.record({ sourceType: one('cloudStorageSource', fc.record({ bucket: label, object: label, generation: fc.bigInt({ min: 0n, max: 2n ** 60n }) })) })),
});
const task = fc
  .record({
    bodies: fc.array(containerBody, { minLength: 1, maxLength: 3 }),
    volumes: fc.uniqueArray(fc.record({ name: label, volumeType }), { maxLength: 3, selector: (volume) => volume.name }),
    retries: one('maxRetries', fc.integer({ min: 0, max: 10 })),
    timeout: fc.record({ seconds: fc.bigInt({ min: 1n, max: 86_400n }) }),
    serviceAccount: fc.constant('hello@demo.iam.gserviceaccount.com'),
    encryptionKey: fc.constantFrom('', 'projects/p/locations/l/keyRings/r/cryptoKeys/k'),
    vpcAccess: maybe(
      fc.oneof(
        fc.record({ connector: fc.constant('projects/p/locations/l/connectors/c'), egress: fc.constantFrom(0, 1, 2) }),
        fc.record({
          networkInterfaces: fc.array(fc.record({ network: label, subnetwork: text, tags: fc.array(text, { maxLength: 2 }) }), { maxLength: 1 }),
          egress: fc.constantFrom(0, 1, 2),
        }),
      ),
    ),
    nodeSelector: maybe(fc.record({ accelerator: fc.constant('nvidia-l4') })),
    gpuZonalRedundancyDisabled: maybe(fc.boolean()),
  })
  .map(({ bodies, ...rest }) => {
    const mounts = (index: number) =>
      rest.volumes.map((volume) => ({
        name: volume.name,
        mountPath: volume.volumeType.case === 'cloudSqlInstance' ? '/cloudsql' : `/mnt/${volume.name}`,
        subPath: index === 0 ? '' : 'sub',
      }));
    const isSingleSql = rest.volumes.filter((volume) => volume.volumeType.case === 'cloudSqlInstance').length < 2;
    const containers = bodies.map(
      (body, index): MessageInitShape<typeof ContainerSchema> => ({
        ...body,
        name: `c${index}`,
        dependsOn: index === 0 ? [] : [`c${index - 1}`],
        volumeMounts: isSingleSql ? mounts(index) : [],
      }),
    );
    return { ...rest, executionEnvironment: 2, containers };
  });
const job = fc
  .record({
    labels,
    annotations,
    client: text,
    clientVersion: text,
    binaryAuthorization: maybe(
      fc.record({ binauthzMethod: fc.oneof(one('useDefault', fc.constant(true)), one('policy', fc.constant('projects/p/platforms/cloudRun/x'))), breakglassJustification: text }),
    ),
    taskCount: fc.integer({ min: 1, max: 10_000 }),
    parallel: fc.double({ min: 0, max: 1, noNaN: true }),
    templateLabels: labels,
    templateAnnotations: annotations,
    task,
  })
  .map(({ taskCount, parallel, templateLabels, templateAnnotations, task: template, ...rest }) =>
    create(JobSchema, {
      ...rest,
      launchStage: LaunchStage.GA,
      template: { labels: templateLabels, annotations: templateAnnotations, taskCount, parallelism: Math.floor(parallel * taskCount), template },
    }),
  );

function settable({ labels: l, annotations: a, client, clientVersion, launchStage, binaryAuthorization, template }: Job): Job {
  const some = create(JobSchema, { labels: l, annotations: a, client, clientVersion, launchStage });
  if (binaryAuthorization !== undefined) some.binaryAuthorization = binaryAuthorization;
  if (template !== undefined) some.template = template;
  return some;
}

it('survives create, get, update, get', async () => {
  let count = 0;
  await fc.assert(
    fc.asyncProperty(job, job, async (first, second) => {
      const jobId = `fields-${count++}`;
      const name = `${PARENT}/jobs/${jobId}`;
      await f.call(Jobs, 'createJob', { parent: PARENT, jobId, job: first });
      await f.settle(name);
      const got = await f.call(Jobs, 'getJob', { name });
      expect(toJson(JobSchema, settable(got))).toEqual(toJson(JobSchema, first));
      await f.call(Jobs, 'updateJob', { job: { ...settable(second), name, etag: got.etag } });
      const updated = await f.call(Jobs, 'getJob', { name });
      expect(toJson(JobSchema, settable(updated))).toEqual(toJson(JobSchema, second));
      // What was read can be written back, and then nothing has changed.
      const settled = await f.settle(name);
      expect((await f.call(Jobs, 'updateJob', { job: updated })).done).toBe(true);
      expect(await f.call(Jobs, 'getJob', { name })).toEqual(settled);
    }),
    { numRuns: 60 },
  );
});
