/**
 * From the Job of a request to the job that is stored: what the caller may set, checked, with the defaults that the real service
 * writes (recorded). Fields that are output only are dropped. A job that comes out of here needs no further look.
 */
import { clone, create } from '@bufbuild/protobuf';
import { type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../../errors.ts';
import { LaunchStage } from '../../gen/google/api/launch_stage_pb.js';
import { type ExecutionTemplate, ExecutionTemplateSchema } from '../../gen/google/cloud/run/v2/execution_template_pb.js';
import { type Job, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { type Container, type Probe, ResourceRequirementsSchema } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { TaskTemplate } from '../../gen/google/cloud/run/v2/task_template_pb.js';
import { type BinaryAuthorization, ExecutionEnvironment, type VpcAccess, VpcAccess_VpcEgress } from '../../gen/google/cloud/run/v2/vendor_settings_pb.js';
import { validateContainers } from './validate-containers.ts';
import { validateAnnotations, validateLabels } from './validate-metadata.ts';
import { validateResources } from './validate-resources.ts';
import { validateMounts, validateVolumes } from './validate-volumes.ts';
import { REQUIRED, type Refuse, refuseOutside, violationIn } from './violations.ts';

const JOB_ID = /^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
export const MAX_TASKS = 10_000;
const MAX_RETRIES = 10;
const DAY_SECONDS = 24 * 3600;
const MAX_TIMEOUT_SECONDS = 7 * DAY_SECONDS;
const EMAIL = /^[a-z0-9][a-z0-9._-]*@[a-z0-9](?:[a-z0-9.:-]*[a-z0-9])?$/i;
const CRYPTO_KEY = /^projects\/[^/\s]+\/locations\/[^/\s]+\/keyRings\/[^/\s]+\/cryptoKeys\/[^/\s]+$/;
const CONNECTOR = /^projects\/[^/\s]+\/locations\/[^/\s]+\/connectors\/[^/\s]+$/;
const BINARY_POLICY = /^projects\/[^/\s]+\/platforms\/cloudRun\/[^/\s]+$/;

/** A job as a request describes it, every default filled in. */
export interface DesiredJob {
  readonly job: Job;
  readonly task: TaskTemplate;
}

/**
 * Job ids have up to 63 characters, unlike those of services.
 * @throws INVALID_ARGUMENT
 */
export function validateJobId(id: string, request: 'CreateJobRequest' | 'UpdateJobRequest'): void {
  if (id === '') throw violationIn(request)('job_id', REQUIRED);
  if (!JOB_ID.test(id))
    throw violationIn(request)('job_id', 'only lowercase, digits, and hyphens; must begin with letter, and cannot end with hyphen; must be less than 64 characters.');
}

/**
 * @param defaultServiceAccount for a template that names none
 * @returns a new message; the request's is left alone
 * @throws INVALID_ARGUMENT
 */
export function desiredJob(sent: Job | undefined, request: 'CreateJobRequest' | 'UpdateJobRequest', defaultServiceAccount: string): DesiredJob {
  const refuse = violationIn(`${request}.job`);
  if (sent === undefined) throw refuse('', REQUIRED);
  if (sent.template === undefined) throw refuse('template', REQUIRED);
  const template = clone(ExecutionTemplateSchema, sent.template);
  const task = template.template;
  if (task === undefined) throw refuse('template.template', REQUIRED);
  validateLabels(sent.labels, 'labels');
  validateAnnotations(sent.annotations, 'annotations');
  validateLabels(template.labels, 'template.labels');
  validateAnnotations(template.annotations, 'template.annotations');
  validateBinaryAuthorization(sent.binaryAuthorization, refuse);
  validateCounts(template, refuse);
  validateTask(task, refuse);
  fillDefaults(template, task, defaultServiceAccount);
  validateResources(task.containers, (task.nodeSelector?.accelerator ?? '') !== '');
  const job = create(JobSchema, {
    labels: sent.labels,
    annotations: sent.annotations,
    client: sent.client,
    clientVersion: sent.clientVersion,
    template,
    launchStage: launchStageOf(sent, task, refuse),
    createExecution: sent.createExecution,
  });
  if (sent.binaryAuthorization !== undefined) job.binaryAuthorization = sent.binaryAuthorization;
  return { job, task };
}

/** @param timeout as sent @throws INVALID_ARGUMENT */
export function validateTimeout(timeout: Duration, path: string, refuse: Refuse): void {
  const seconds = Number(timeout.seconds);
  if (timeout.nanos !== 0) throw refuse(path, 'must be a whole number of seconds.');
  if (seconds < 1 || seconds > MAX_TIMEOUT_SECONDS) throw refuse(path, `must be between 1s and ${MAX_TIMEOUT_SECONDS}s, but is ${timeout.seconds}s.`);
}

function validateCounts(template: ExecutionTemplate, refuse: Refuse): void {
  refuseOutside(template.taskCount, 0, MAX_TASKS, 'template.task_count', refuse);
  refuseOutside(template.parallelism, 0, MAX_TASKS, 'template.parallelism', refuse);
  const taskCount = template.taskCount || 1;
  if (template.parallelism > taskCount)
    throw invalidArgument('template.parallelism', `Parallelism must be at most the task count of ${taskCount}, but is ${template.parallelism}.`);
}

function validateTask(task: TaskTemplate, refuse: Refuse): void {
  const path = 'template.template';
  validateVolumes(task.volumes, refuse);
  validateContainers(task.containers, refuse);
  for (const [index, container] of task.containers.entries()) validateMounts(container, task.volumes, `${path}.containers[${index}]`, refuse);
  if (task.retries.case === 'maxRetries') refuseOutside(task.retries.value, 0, MAX_RETRIES, `${path}.max_retries`, refuse);
  if (task.timeout !== undefined) validateTimeout(task.timeout, `${path}.timeout`, refuse);
  if (task.serviceAccount !== '' && !EMAIL.test(task.serviceAccount)) throw refuse(`${path}.service_account`, 'must be the email address of a service account.');
  if (task.executionEnvironment === ExecutionEnvironment.GEN1)
    throw invalidArgument('template.annotations', "Annotation 'run.googleapis.com/execution-environment' with value 'gen1' is not supported on resources of kind Execution.");
  if (ExecutionEnvironment[task.executionEnvironment] === undefined) throw refuse(`${path}.execution_environment`, `unknown value ${task.executionEnvironment}.`);
  if (task.encryptionKey !== '' && !CRYPTO_KEY.test(task.encryptionKey))
    throw refuse(`${path}.encryption_key`, 'must be in the form projects/{project}/locations/{location}/keyRings/{key_ring}/cryptoKeys/{crypto_key}.');
  if (task.nodeSelector !== undefined && task.nodeSelector.accelerator === '') throw refuse(`${path}.node_selector.accelerator`, REQUIRED);
  validateVpcAccess(task.vpcAccess, `${path}.vpc_access`, refuse);
  const hasGpu = task.containers.some((container) => container.resources?.limits['nvidia.com/gpu'] !== undefined);
  if (hasGpu && Number(task.timeout?.seconds ?? 0n) > 3600) throw invalidArgument(`${path}.timeout`, 'Tasks with a GPU can run for at most 3600s.');
}

function validateVpcAccess(access: VpcAccess | undefined, path: string, refuse: Refuse): void {
  if (access === undefined) return;
  if (VpcAccess_VpcEgress[access.egress] === undefined) throw refuse(`${path}.egress`, `unknown value ${access.egress}.`);
  if (access.connector !== '' && !CONNECTOR.test(access.connector))
    throw refuse(`${path}.connector`, 'must be in the form projects/{project}/locations/{location}/connectors/{connector}.');
  if (access.connector !== '' && access.networkInterfaces.length > 0) throw invalidArgument(path, 'A connector and network interfaces cannot be used together.');
  if (access.networkInterfaces.length > 1) throw refuse(`${path}.network_interfaces`, 'only a single network interface is supported.');
  for (const network of access.networkInterfaces)
    if (network.network === '' && network.subnetwork === '') throw refuse(`${path}.network_interfaces[0]`, 'at least one of network or subnetwork must be specified.');
}

function validateBinaryAuthorization(settings: BinaryAuthorization | undefined, refuse: Refuse): void {
  if (settings === undefined) return;
  const { binauthzMethod: method, breakglassJustification } = settings;
  if (method.case === 'policy' && !BINARY_POLICY.test(method.value))
    throw refuse('binary_authorization.policy', 'must be in the form projects/{project}/platforms/cloudRun/{policy-name}.');
  if (method.case === 'useDefault' && !method.value && breakglassJustification !== '')
    throw invalidArgument('binary_authorization.breakglass_justification', 'Must be empty if use_default is false.');
}

/** On output the stage says what the job needs, whatever was declared: BETA for a timeout above a day, otherwise GA. */
function launchStageOf(sent: Job, task: TaskTemplate, refuse: Refuse): LaunchStage {
  const { launchStage: declared } = sent;
  if (declared !== LaunchStage.LAUNCH_STAGE_UNSPECIFIED && declared !== LaunchStage.ALPHA && declared !== LaunchStage.BETA && declared !== LaunchStage.GA)
    throw refuse('launch_stage', 'only ALPHA, BETA and GA are supported.');
  if (Number(task.timeout?.seconds ?? 0n) <= DAY_SECONDS) return LaunchStage.GA;
  if (declared === LaunchStage.GA || declared === LaunchStage.LAUNCH_STAGE_UNSPECIFIED)
    throw invalidArgument('template.template.timeout', 'The feature is not supported in the declared launch stage. A timeout above 86400s needs launch_stage BETA.');
  return LaunchStage.BETA;
}

function fillDefaults(template: ExecutionTemplate, task: TaskTemplate, defaultServiceAccount: string): void {
  template.taskCount ||= 1;
  if (task.retries.case === undefined) task.retries = { case: 'maxRetries', value: 3 };
  task.timeout ??= create(DurationSchema, { seconds: 600n });
  task.executionEnvironment = ExecutionEnvironment.GEN2;
  task.serviceAccount = (task.serviceAccount || defaultServiceAccount).toLowerCase();
  for (const container of task.containers) {
    container.resources ??= create(ResourceRequirementsSchema);
    container.resources.limits = { cpu: '1000m', memory: '512Mi', ...container.resources.limits };
    delete container.buildInfo;
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) if (probe !== undefined) fillProbe(probe, container);
  }
}

function fillProbe(probe: Probe, container: Container): void {
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.failureThreshold ||= 3;
  // The exposed port, which validation has made sure of where the probe names none (k8s.min.proto, HTTPGetAction.port).
  if (probe.probeType.case !== undefined) probe.probeType.value.port ||= container.ports[0]?.containerPort ?? 0;
}
