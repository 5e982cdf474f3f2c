/** The template of an execution with its tasks: `spec.template` of a v1 job, `template` of a v2 one. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { invalidArgument } from '../../../errors.ts';
import type { ExecutionSpecSchema, ExecutionTemplateSpec, ExecutionTemplateSpecSchema, TaskSpec, TaskSpecSchema } from '../../../gen/google/cloud/run/v1/resources_pb.js';
import { TaskSpecSchema as EmptyTaskSpec, ExecutionSpecSchema as ExecutionSpec, ObjectMetaSchema } from '../../../gen/google/cloud/run/v1/resources_pb.js';
import type { ExecutionTemplate, ExecutionTemplateSchema } from '../../../gen/google/cloud/run/v2/execution_template_pb.js';
import type { Container } from '../../../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { TaskTemplate, TaskTemplateSchema } from '../../../gen/google/cloud/run/v2/task_template_pb.js';
import { ExecutionEnvironment, type VpcAccess, VpcAccess_VpcEgress } from '../../../gen/google/cloud/run/v2/vendor_settings_pb.js';
import { type Annotations, callersLabels, type Pairs, platformAnnotations, readAnnotations } from './annotations.ts';
import { containerToV1, containerToV2 } from './containers.ts';
import { readSecretAliases, type SecretAliases } from './secrets.ts';
import { CLOUDSQL_PATH, CLOUDSQL_VOLUME, volumeToV1, volumeToV2 } from './volumes.ts';

const META = 'spec.template.metadata';
const TASK = 'spec.template.spec.template.spec';
const ACCELERATOR = 'run.googleapis.com/accelerator';

/** @param parent where the job is; empty where it is not known @throws INVALID_ARGUMENT for what v2 has no place for */
export function templateToV2(from: ExecutionTemplateSpec | undefined, parent: string): MessageInitShape<typeof ExecutionTemplateSchema> {
  const meta = from?.metadata ?? create(ObjectMetaSchema);
  const spec = from?.spec ?? create(ExecutionSpec);
  const annotations = readAnnotations(meta.annotations, 'Execution', `${META}.annotations`);
  const template = taskToV2(spec.template?.spec ?? create(EmptyTaskSpec), annotations, parent);
  // The job's own say the same; v2 has no place for a second pair.
  for (const doubled of ['client-name', 'client-version']) annotations.take(doubled);
  return {
    labels: callersLabels(meta.labels, `${META}.labels`),
    annotations: annotations.rest(),
    template,
    ...(spec.parallelism === undefined ? {} : { parallelism: spec.parallelism }),
    ...(spec.taskCount === undefined ? {} : { taskCount: spec.taskCount }),
  };
}

function taskToV2(from: TaskSpec, annotations: Annotations, parent: string): MessageInitShape<typeof TaskTemplateSchema> {
  const secrets = readSecretAliases(annotations.take('secrets'));
  const dependencies = dependenciesFrom(annotations.take('container-dependencies'));
  const instances = listOf(annotations.take('cloudsql-instances'));
  const encryptionKey = annotations.take('encryption-key') ?? '';
  const volumes = from.volumes.map((volume, index) => volumeToV2(volume, secrets, `${TASK}.volumes[${index}]`));
  const containers = from.containers.map((container, index) => containerToV2(container, secrets, dependencies[container.name] ?? [], `${TASK}.containers[${index}]`));
  if (instances.length > 0) {
    volumes.push({ name: CLOUDSQL_VOLUME, volumeType: { case: 'cloudSqlInstance', value: { instances } } });
    for (const container of containers) container.volumeMounts = [...(container.volumeMounts ?? []), { name: CLOUDSQL_VOLUME, mountPath: CLOUDSQL_PATH }];
  }
  const unknown = Object.keys(from.nodeSelector).find((key) => key !== ACCELERATOR);
  if (unknown !== undefined) throw invalidArgument(`${TASK}.node_selector`, `${JSON.stringify(unknown)} is not known. Known: ${ACCELERATOR}.`);
  const accelerator = from.nodeSelector[ACCELERATOR];
  const zonal = annotations.take('gpu-zonal-redundancy-disabled');
  return {
    containers,
    volumes,
    serviceAccount: from.serviceAccountName,
    encryptionKey,
    executionEnvironment: environmentFrom(annotations.take('execution-environment')),
    ...vpcFrom(annotations, parent),
    ...(from.maxRetries === undefined ? {} : { retries: { case: 'maxRetries' as const, value: from.maxRetries } }),
    ...(from.timeoutSeconds === undefined ? {} : { timeout: { seconds: from.timeoutSeconds } }),
    ...(accelerator === undefined ? {} : { nodeSelector: { accelerator } }),
    ...(zonal === undefined ? {} : { gpuZonalRedundancyDisabled: zonal.toLowerCase() === 'true' }),
  };
}

/** @param annotations further ones of the platform for the template's metadata (the client) */
export function templateToV1(from: ExecutionTemplate, annotations: Pairs): MessageInitShape<typeof ExecutionTemplateSpecSchema> {
  const { spec, annotations: own } = executionSpecToV1(from.template, from.taskCount, from.parallelism);
  // `metadata` is always there: gcloud takes an object without it for one that has no template.
  return { metadata: { labels: { ...from.labels }, annotations: { ...from.annotations, ...annotations, ...own } }, spec };
}

/** @returns the spec, and the annotations that say the rest of the task's template */
export function executionSpecToV1(
  task: TaskTemplate | undefined,
  taskCount: number,
  parallelism: number,
): { readonly spec: MessageInitShape<typeof ExecutionSpecSchema>; readonly annotations: Pairs } {
  const { spec, annotations } = taskToV1(task);
  return { spec: { ...(taskCount === 0 ? {} : { taskCount }), ...(parallelism === 0 ? {} : { parallelism }), template: { spec } }, annotations };
}

/** What of a TaskTemplate or Task the two share. */
type TaskFields = Pick<TaskTemplate, 'containers' | 'volumes' | 'serviceAccount' | 'encryptionKey' | 'executionEnvironment'> &
  Partial<Pick<TaskTemplate, 'timeout' | 'vpcAccess' | 'nodeSelector' | 'gpuZonalRedundancyDisabled' | 'retries'>>;

export function taskToV1(task: TaskFields | undefined): { readonly spec: MessageInitShape<typeof TaskSpecSchema>; readonly annotations: Pairs } {
  if (task === undefined) return { spec: {}, annotations: {} };
  const secrets = readSecretAliases(undefined);
  const isCloudSql = new Set(task.volumes.filter(({ volumeType }) => volumeType.case === 'cloudSqlInstance').map(({ name }) => name));
  const spec: MessageInitShape<typeof TaskSpecSchema> = {
    containers: task.containers.map((container) => containerToV1(container, secrets, (volume) => isCloudSql.has(volume))),
    volumes: task.volumes.flatMap((volume) => volumeToV1(volume, secrets) ?? []),
    serviceAccountName: task.serviceAccount,
    ...(task.retries?.case === 'maxRetries' ? { maxRetries: task.retries.value } : {}),
    ...(task.timeout === undefined ? {} : { timeoutSeconds: task.timeout.seconds }),
    ...(task.nodeSelector === undefined ? {} : { nodeSelector: { [ACCELERATOR]: task.nodeSelector.accelerator } }),
  };
  return { spec, annotations: taskAnnotations(task, secrets) };
}

function taskAnnotations(task: TaskFields, secrets: SecretAliases): Pairs {
  const instances = task.volumes.flatMap(({ volumeType }) => (volumeType.case === 'cloudSqlInstance' ? volumeType.value.instances : []));
  return platformAnnotations({
    secrets: secrets.annotation(),
    'container-dependencies': dependenciesTo(task.containers),
    'cloudsql-instances': instances.join(','),
    'encryption-key': task.encryptionKey,
    'execution-environment': task.executionEnvironment === ExecutionEnvironment.GEN2 ? 'gen2' : '',
    'gpu-zonal-redundancy-disabled': task.gpuZonalRedundancyDisabled === undefined ? '' : task.gpuZonalRedundancyDisabled ? 'True' : 'False',
    ...vpcTo(task.vpcAccess),
  });
}

function environmentFrom(text: string | undefined): ExecutionEnvironment {
  if (text === undefined || text === '') return ExecutionEnvironment.UNSPECIFIED;
  if (text === 'gen2') return ExecutionEnvironment.GEN2;
  // Recorded for gen1: https://github.com/hashicorp/terraform-provider-google/issues/16766
  throw invalidArgument('template.annotations', `Annotation 'run.googleapis.com/execution-environment' with value '${text}' is not supported on resources of kind Execution.`);
}

function vpcFrom(annotations: Annotations, parent: string): { vpcAccess?: MessageInitShape<typeof TaskTemplateSchema>['vpcAccess'] } {
  const given = annotations.take('vpc-access-connector') ?? '';
  // v1 takes the id alone too: https://cloud.google.com/run/docs/configuring/vpc-connectors
  const connector = given === '' || given.includes('/') || parent === '' ? given : `${parent}/connectors/${given}`;
  const egress = annotations.take('vpc-access-egress');
  const interfaces = annotations.take('network-interfaces');
  if (connector === '' && egress === undefined && interfaces === undefined) return {};
  return { vpcAccess: { connector, egress: egressFrom(egress), networkInterfaces: interfacesFrom(interfaces) } };
}

function egressFrom(text: string | undefined): VpcAccess_VpcEgress {
  if (text === undefined || text === '') return VpcAccess_VpcEgress.VPC_EGRESS_UNSPECIFIED;
  if (text === 'private-ranges-only') return VpcAccess_VpcEgress.PRIVATE_RANGES_ONLY;
  if (text === 'all-traffic' || text === 'all') return VpcAccess_VpcEgress.ALL_TRAFFIC;
  throw invalidArgument(`${META}.annotations`, `Annotation 'run.googleapis.com/vpc-access-egress' with value ${JSON.stringify(text)} must be all-traffic or private-ranges-only.`);
}

function vpcTo(access: VpcAccess | undefined): Record<string, string> {
  if (access === undefined) return {};
  const { connector, egress, networkInterfaces } = access;
  return {
    'vpc-access-connector': connector,
    'vpc-access-egress': egress === VpcAccess_VpcEgress.ALL_TRAFFIC ? 'all-traffic' : egress === VpcAccess_VpcEgress.PRIVATE_RANGES_ONLY ? 'private-ranges-only' : '',
    'network-interfaces':
      networkInterfaces.length === 0
        ? ''
        : JSON.stringify(
            networkInterfaces.map(({ network, subnetwork, tags }) => ({
              ...(network === '' ? {} : { network }),
              ...(subnetwork === '' ? {} : { subnetwork }),
              ...(tags.length === 0 ? {} : { tags }),
            })),
          ),
  };
}

function interfacesFrom(text: string | undefined): { network: string; subnetwork: string; tags: string[] }[] {
  if (text === undefined || text === '') return [];
  const refused = () => invalidArgument(`${META}.annotations`, `Annotation 'run.googleapis.com/network-interfaces' must be a JSON list of {"network","subnetwork","tags"}.`);
  const value = jsonOf(text);
  if (!Array.isArray(value)) throw refused();
  return value.map((entry: unknown) => {
    if (!isRecord(entry)) throw refused();
    const { network = '', subnetwork = '', tags = [], ...more } = entry;
    const all = typeof tags === 'string' ? tags.split(',') : tags;
    if (typeof network !== 'string' || typeof subnetwork !== 'string' || !isTexts(all) || Object.keys(more).length > 0) throw refused();
    return { network, subnetwork, tags: all };
  });
}

/** `{"main": ["sidecar"]}`: which containers each waits for. */
function dependenciesFrom(text: string | undefined): Readonly<Record<string, readonly string[]>> {
  if (text === undefined || text === '') return {};
  const value = jsonOf(text);
  const entries = isRecord(value) ? Object.entries(value) : [];
  if (!isRecord(value) || !entries.every(([, names]) => isTexts(names)))
    throw invalidArgument(`${META}.annotations`, `Annotation 'run.googleapis.com/container-dependencies' must be a JSON object of lists: {"main": ["sidecar"]}.`);
  return Object.fromEntries(entries.flatMap(([name, names]) => (isTexts(names) ? [[name, names]] : [])));
}

function dependenciesTo(containers: readonly Container[]): string {
  const waiting = containers.filter(({ dependsOn }) => dependsOn.length > 0);
  return waiting.length === 0 ? '' : JSON.stringify(Object.fromEntries(waiting.map(({ name, dependsOn }) => [name, dependsOn])));
}

function listOf(text: string | undefined): string[] {
  return (text ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The caller says what it must be.
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
