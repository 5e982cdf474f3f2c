import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { type ApiError, isApiError } from '../../errors.ts';
import { JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import type { ContainerSchema } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { TaskTemplateSchema } from '../../gen/google/cloud/run/v2/task_template_pb.js';
import { ExecutionEnvironment } from '../../gen/google/cloud/run/v2/vendor_settings_pb.js';
import { parseBytes, parseCpuMillis } from '../../quantity.ts';
import { desiredJob, validateJobId } from './validate-job.ts';

type JobInit = MessageInitShape<typeof JobSchema>;
type Container = MessageInitShape<typeof ContainerSchema>;
const prepare = (init: JobInit | undefined) => desiredJob(init === undefined ? undefined : create(JobSchema, init), 'CreateJobRequest', 'default@demo.iam.gserviceaccount.com');
const withTask = (task: MessageInitShape<typeof TaskTemplateSchema>, rest: object = {}): JobInit => ({
  ...rest,
  template: { template: { containers: [{ image: 'a' }], ...task } },
});
const withContainer = (container: Container): JobInit => withTask({ containers: [{ image: 'a', ...container }] });
const limits = (cpu: string, memory: string): JobInit => withContainer({ resources: { limits: { cpu, memory } } });
const value = (text: string) => ({ case: 'value' as const, value: text });
const emptyDir = (name: string) => ({ name, volumeType: { case: 'emptyDir' as const, value: {} } });
const V = 'Violation in CreateJobRequest.job';
const T = 'template.template';

/** What is sent, and the beginning of the message, which names the place. */
const REFUSED: readonly (readonly [string, JobInit | undefined, string])[] = [
  ['no job', undefined, `${V}: required field not present.`],
  ['no template', {}, `${V}.template: required field not present.`],
  ['no task template', { template: {} }, `${V}.${T}: required field not present.`],
  ['no containers', withTask({ containers: [] }), `${V}.${T}.containers: required field not present.`],
  ['no image', withContainer({ image: '' }), `${V}.${T}.containers[0].image: required field not present.`],
  ['a bad image', withContainer({ image: 'Has Spaces' }), `${V}.${T}.containers[0].image: must be a container image path in the form [hostname/]repo-path[:tag and/or @digest]`],
  ['two ports', withContainer({ ports: [{ containerPort: 1 }, { containerPort: 2 }] }), `${V}.${T}.containers[0].ports: ports should contain 0 or 1 port.`],
  ['a port that is none', withContainer({ ports: [{ containerPort: 70_000 }] }), `${V}.${T}.containers[0].ports[0].container_port: must be between 1 and 65535`],
  ['too many tasks', { template: { taskCount: 10_001, template: { containers: [{ image: 'a' }] } } }, `${V}.template.task_count: must be between 0 and 10000, but is 10001.`],
  ['parallelism above the tasks', { template: { parallelism: 2, template: { containers: [{ image: 'a' }] } } }, 'template.parallelism: '],
  ['too many retries', withTask({ retries: { case: 'maxRetries', value: 11 } }), `${V}.${T}.max_retries: must be between 0 and 10, but is 11.`],
  ['a timeout above a week', withTask({ timeout: { seconds: 604_801n } }, { launchStage: 3 }), `${V}.${T}.timeout: must be between 1s and 604800s`],
  ['a timeout above a day in GA', withTask({ timeout: { seconds: 86_401n } }), `${T}.timeout: The feature is not supported in the declared launch stage.`],
  ['no time', withTask({ timeout: { seconds: 0n } }), `${V}.${T}.timeout: `],
  [
    'gen1',
    withTask({ executionEnvironment: ExecutionEnvironment.GEN1 }),
    "template.annotations: Annotation 'run.googleapis.com/execution-environment' with value 'gen1' is not supported on resources of kind Execution.",
  ],
  // What TypeScript would refuse can still come over the wire.
  ['an unknown enum', withTask({ executionEnvironment: 9 as never }), `${V}.${T}.execution_environment: `],
  ['a bad launch stage', withTask({}, { launchStage: 5 }), `${V}.launch_stage: `],
  ['a service account that is none', withTask({ serviceAccount: 'me' }), `${V}.${T}.service_account: `],
  [
    'too little memory',
    limits('1', '256Mi'),
    `${T}.containers[0].limits.memory: Invalid value specified for memory.\nTotal memory < 512 Mi is not supported with gen2 execution environment with cpu always allocated (unthrottled).`,
  ],
  [
    'too much memory for the CPU',
    limits('1', '8Gi'),
    `${T}.containers[0].limits.memory: Invalid value specified for memory. For 1.0 CPU, memory must be between 512Mi and 4Gi inclusive.`,
  ],
  [
    'too little memory for the CPU',
    limits('4', '1Gi'),
    `${T}.containers[0].limits.memory: Invalid value specified for memory. For 4.0 CPU, memory must be between 2Gi and 16Gi inclusive.`,
  ],
  ['three CPUs', limits('3', '2Gi'), `${T}.containers[0].limits.cpu: Invalid value specified for cpu. Must be equal to one of [.08-1], 1.0, 2.0, 4.0, 6.0 or 8.0`],
  ['half a CPU alone', limits('500m', '512Mi'), `${T}.containers[0].limits.cpu: Invalid value specified for cpu. Total cpu < 1 is not supported`],
  ['an unknown limit', withContainer({ resources: { limits: { disk: '1' } } }), `${T}.containers[0].limits: 'disk' is not supported.`],
  ['a GPU without its type', withContainer({ resources: { limits: { 'nvidia.com/gpu': '1' } } }), `${T}.node_selector: `],
  ['a variable without a name', withContainer({ env: [{ values: value('x') }] }), `${V}.${T}.containers[0].env[0].name: required field not present.`],
  ["a variable with '='", withContainer({ env: [{ name: 'A=B' }] }), `${V}.${T}.containers[0].env[0].name: must not contain '='.`],
  [
    'a reserved variable',
    withContainer({ env: [{ name: 'CLOUD_RUN_TASK_INDEX' }] }),
    `${T}.containers[0].env: The following reserved env names were provided: CLOUD_RUN_TASK_INDEX.`,
  ],
  ['a long variable', withContainer({ env: [{ name: 'A', values: value('x'.repeat(32_769)) }] }), `${V}.${T}.containers[0].env[0].value: must not exceed 32768 bytes.`],
  ['too many variables', withContainer({ env: Array.from({ length: 1001 }, (_, i) => ({ name: `A${i}` })) }), `${V}.${T}.containers[0].env: at most 1000`],
  ['NUL in an argument', withContainer({ args: ['a\0b'] }), `${V}.${T}.containers[0].args[0]: must not contain the NUL character.`],
  ['two containers without names', withTask({ containers: [{ image: 'a' }, { image: 'b' }] }), `${T}.containers[0].name: Every container must have a name`],
  [
    'one name twice',
    withTask({
      containers: [
        { image: 'a', name: 'x' },
        { image: 'b', name: 'x' },
      ],
    }),
    `${T}.containers[1].name: Container name 'x' is used more than once.`,
  ],
  ['an unknown dependency', withContainer({ name: 'a', dependsOn: ['b'] }), `${T}.containers[0].depends_on[0]: Container 'b' is not defined.`],
  [
    'a circle',
    withTask({
      containers: [
        { image: 'a', name: 'x', dependsOn: ['y'] },
        { image: 'b', name: 'y', dependsOn: ['x'] },
      ],
    }),
    `${T}.containers[0].depends_on: The dependencies of container 'x' form a circle.`,
  ],
  ['a mount of nothing', withContainer({ volumeMounts: [{ name: 'v', mountPath: '/x' }] }), `${T}.containers[0].volume_mounts[0].name: Volume 'v' is not defined`],
  [
    'a relative mount',
    withTask({ volumes: [emptyDir('v')], containers: [{ image: 'a', volumeMounts: [{ name: 'v', mountPath: 'x' }] }] }),
    `${V}.${T}.containers[0].volume_mounts[0].mount_path: `,
  ],
  [
    'a mount over everything',
    withTask({ volumes: [emptyDir('v')], containers: [{ image: 'a', volumeMounts: [{ name: 'v', mountPath: '/' }] }] }),
    `${V}.${T}.containers[0].volume_mounts[0].mount_path: `,
  ],
  ['a volume of no kind', withTask({ volumes: [{ name: 'v' }] }), `${V}.${T}.volumes[0]: must have exactly one of`],
  ['a volume twice', withTask({ volumes: [emptyDir('v'), emptyDir('v')] }), `${T}.volumes[1].name: Volume name 'v' is used more than once.`],
  [
    'a secret outside its volume',
    withTask({ volumes: [{ name: 'v', volumeType: { case: 'secret', value: { secret: 's', items: [{ path: '../x', version: '1' }] } } }] }),
    `${V}.${T}.volumes[0].secret.items[0].path: `,
  ],
  ['a probe of nothing', withContainer({ startupProbe: {} }), `${V}.${T}.containers[0].startup_probe: exactly one of`],
  [
    'a slow probe',
    withContainer({ startupProbe: { timeoutSeconds: 20, probeType: { case: 'tcpSocket', value: { port: 1 } } } }),
    `${T}.containers[0].startup_probe.timeout_seconds: `,
  ],
  [
    'a label of the platform',
    { ...withTask({}), labels: { 'run.googleapis.com/x': 'y' } },
    "labels: Label 'run.googleapis.com/x' is in the reserved namespace 'run.googleapis.com'",
  ],
  [
    'an annotation of the platform',
    { template: { annotations: { 'serving.knative.dev/x': 'y' }, template: { containers: [{ image: 'a' }] } } },
    "template.annotations: Annotation 'serving.knative.dev/x' is in the reserved namespace",
  ],
  ['a label in upper case', { ...withTask({}), labels: { Upper: 'y' } }, "labels: Label key 'Upper'"],
  ['a connector and interfaces', withTask({ vpcAccess: { connector: 'projects/p/locations/l/connectors/c', networkInterfaces: [{ network: 'n' }] } }), `${T}.vpc_access: `],
];

function refusalOf(init: JobInit | undefined): ApiError {
  try {
    prepare(init);
  } catch (error) {
    if (isApiError(error)) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('refused', () => {
  it.each(REFUSED)('%s', (_, init, message) => {
    const error = refusalOf(init);
    expect(error.status).toBe('INVALID_ARGUMENT');
    expect(error.message.slice(0, message.length)).toBe(message);
    const violations = error.details.flatMap((detail) => (detail.type === 'google.rpc.BadRequest' ? detail.value.fieldViolations : []));
    expect(violations.map(({ field, description }) => `${field}: ${description}`)).toEqual([error.message]);
  });

  it.each(['', 'Upper', '1a', 'a-', 'a_b', 'a'.repeat(64)])('the job id %j', (id) => {
    expect(() => validateJobId(id, 'CreateJobRequest')).toThrow(/^Violation in CreateJobRequest\.job_id: /);
  });
});

describe('accepted', () => {
  it.each([
    ['us-docker.pkg.dev/cloudrun/container/job:latest'],
    ['localhost:5000/a/b__c-d.e:v1.2'],
    ['gcr.io/example.com/proj/image'],
    [`repo@sha256:${'0'.repeat(64)}`],
    [`docker.io/library/alpine:3@sha256:${'a'.repeat(64)}`],
  ])('the image %s', (image) => {
    expect(prepare(withContainer({ image })).task.containers[0]?.image).toBe(image);
  });

  it.each([
    ['1', '512Mi'],
    ['1000m', '4Gi'],
    ['2', '8Gi'],
    ['4.0', '2Gi'],
    ['6', '24Gi'],
    ['8', '32Gi'],
    ['1', '1G'],
  ])('%s CPU with %s, written as sent', (cpu, memory) => {
    expect(prepare(limits(cpu, memory)).task.containers[0]?.resources?.limits).toEqual({ cpu, memory });
  });

  it('parts of a CPU among several containers', () => {
    const resources = { limits: { cpu: '500m', memory: '256Mi' } };
    expect(
      prepare(
        withTask({
          containers: [
            { image: 'a', name: 'x', resources },
            { image: 'b', name: 'y', resources, dependsOn: ['x'] },
          ],
        }),
      ).task.containers,
    ).toHaveLength(2);
  });

  it('the id of 63 characters', () => {
    expect(() => validateJobId('a'.repeat(63), 'CreateJobRequest')).not.toThrow();
  });

  it('and the request is left alone', () => {
    const sent = create(JobSchema, withTask({}));
    const before = JSON.stringify(sent.template?.template?.containers);
    desiredJob(sent, 'CreateJobRequest', 'd@demo.iam.gserviceaccount.com');
    expect(JSON.stringify(sent.template?.template?.containers)).toBe(before);
  });

  it('the launch stage as it is needed', () => {
    expect(prepare(withTask({}, { launchStage: 2 })).job.launchStage).toBe(4);
    expect(prepare(withTask({ timeout: { seconds: 100_000n } }, { launchStage: 2 })).job.launchStage).toBe(3);
  });
});

it('quantities', () => {
  expect(['1', '0.5', '.25', '1500m', '1.0001', 'x', ''].map(parseCpuMillis)).toEqual([1000, 500, 250, 1500, undefined, undefined, undefined]);
  expect(['512Mi', '1.5Gi', '1G', '10', '1K', '-1', '1 Gi', '1gi', 'Mi', '1.5.5'].map(parseBytes)).toEqual([
    536_870_912,
    1_610_612_736,
    1e9,
    10,
    ...Array.from({ length: 6 }, () => undefined),
  ]);
});
