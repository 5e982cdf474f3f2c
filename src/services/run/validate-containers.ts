/** Containers: image, environment, ports, probes, and the order in which they start. */
import { invalidArgument } from '../../errors.ts';
import type { Container, EnvVar, Probe } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { validateSecretName } from './validate-volumes.ts';
import { DNS_LABEL, REQUIRED, type Refuse, refuseNul, refuseOutside } from './violations.ts';

const IMAGE =
  /^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]{1,5})?\/)?[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{32,128})?$/;
const MAX_IMAGE = 1024;
const MAX_ENV = 1000;
const MAX_ENV_BYTES = 32_768;
/** Set by the platform in every task (container contract). */
const RESERVED_ENV = new Set(['CLOUD_RUN_JOB', 'CLOUD_RUN_EXECUTION', 'CLOUD_RUN_TASK_INDEX', 'CLOUD_RUN_TASK_ATTEMPT', 'CLOUD_RUN_TASK_COUNT']);

export function validateContainers(containers: readonly Container[], refuse: Refuse): void {
  if (containers.length === 0) throw refuse('template.template.containers', REQUIRED);
  for (const [index, container] of containers.entries()) {
    const path = `template.template.containers[${index}]`;
    validateNames(container, containers, index, path, refuse);
    if (container.image === '') throw refuse(`${path}.image`, REQUIRED);
    if (container.image.length > MAX_IMAGE || !IMAGE.test(container.image))
      throw refuse(`${path}.image`, 'must be a container image path in the form [hostname/]repo-path[:tag and/or @digest]');
    for (const [at, text] of container.command.entries()) refuseNul(text, `${path}.command[${at}]`, refuse);
    validateArgs(container.args, path, refuse);
    validateEnv(container.env, path, refuse);
    refuseNul(container.workingDir, `${path}.working_dir`, refuse);
    if (container.workingDir !== '' && !container.workingDir.startsWith('/')) throw refuse(`${path}.working_dir`, 'must be an absolute path.');
    if (container.baseImageUri !== '') throw invalidArgument(`${path}.base_image_uri`, 'Automatic base image updates are only supported for services.');
    validateSource(container, path, refuse);
    validatePorts(container, path, refuse);
    validateProbe(container, 'startupProbe', `${path}.startup_probe`, 240, refuse);
    validateProbe(container, 'livenessProbe', `${path}.liveness_probe`, 3600, refuse);
    validateProbe(container, 'readinessProbe', `${path}.readiness_probe`, 3600, refuse);
  }
  refuseCycles(containers);
}

/** @param path of the container or override */
export function validateArgs(args: readonly string[], path: string, refuse: Refuse): void {
  for (const [index, text] of args.entries()) refuseNul(text, `${path}.args[${index}]`, refuse);
}

/** @param path of the container or override */
export function validateEnv(env: readonly EnvVar[], path: string, refuse: Refuse): void {
  if (env.length > MAX_ENV) throw refuse(`${path}.env`, `at most ${MAX_ENV} environment variables are allowed, but there are ${env.length}.`);
  for (const [index, variable] of env.entries()) {
    const at = `${path}.env[${index}]`;
    if (variable.name === '') throw refuse(`${at}.name`, REQUIRED);
    if (variable.name.length > MAX_ENV_BYTES) throw refuse(`${at}.name`, `must not exceed ${MAX_ENV_BYTES} characters.`);
    if (variable.name.includes('=')) throw refuse(`${at}.name`, "must not contain '='.");
    refuseNul(variable.name, `${at}.name`, refuse);
    if (variable.values.case === 'value') {
      refuseNul(variable.values.value, `${at}.value`, refuse);
      if (Buffer.byteLength(variable.values.value) > MAX_ENV_BYTES) throw refuse(`${at}.value`, `must not exceed ${MAX_ENV_BYTES} bytes.`);
    }
    if (variable.values.case === 'valueSource') {
      const reference = variable.values.value.secretKeyRef;
      if (reference === undefined) throw refuse(`${at}.value_source.secret_key_ref`, REQUIRED);
      validateSecretName(reference.secret, `${at}.value_source.secret_key_ref.secret`, refuse);
    }
  }
  const reserved = env.map((variable) => variable.name).filter((name) => RESERVED_ENV.has(name));
  if (reserved.length > 0)
    throw invalidArgument(`${path}.env`, `The following reserved env names were provided: ${[...new Set(reserved)].join(', ')}. These values are automatically set by the system.`);
}

function validateNames(container: Container, containers: readonly Container[], index: number, path: string, refuse: Refuse): void {
  if (container.name === '') {
    if (containers.length > 1) throw invalidArgument(`${path}.name`, 'Every container must have a name where there are several.');
  } else if (!DNS_LABEL.test(container.name)) throw refuse(`${path}.name`, 'must be a DNS label: lowercase letters, digits and hyphens, at most 63 characters.');
  else if (containers.findIndex((other) => other.name === container.name) < index)
    throw invalidArgument(`${path}.name`, `Container name '${container.name}' is used more than once.`);
}

function validateSource(container: Container, path: string, refuse: Refuse): void {
  if (container.sourceCode === undefined) return;
  const source = container.sourceCode.sourceType;
  if (source.case === undefined) throw refuse(`${path}.source_code.cloud_storage_source`, REQUIRED);
  if (source.value.bucket === '') throw refuse(`${path}.source_code.cloud_storage_source.bucket`, REQUIRED);
  if (source.value.object === '') throw refuse(`${path}.source_code.cloud_storage_source.object`, REQUIRED);
}

function validatePorts(container: Container, path: string, refuse: Refuse): void {
  if (container.ports.length > 1) throw refuse(`${path}.ports`, 'ports should contain 0 or 1 port.');
  for (const port of container.ports) {
    if (port.name !== '' && port.name !== 'http1' && port.name !== 'h2c') throw refuse(`${path}.ports[0].name`, "must be 'http1' or 'h2c'.");
    refuseOutside(port.containerPort, 1, 65_535, `${path}.ports[0].container_port`, refuse);
  }
}

function validateProbe(container: Container, which: 'startupProbe' | 'livenessProbe' | 'readinessProbe', path: string, longestSeconds: number, refuse: Refuse): void {
  const probe: Probe | undefined = container[which];
  if (probe === undefined) return;
  refuseOutside(probe.initialDelaySeconds, 0, longestSeconds, `${path}.initial_delay_seconds`, refuse);
  // Zero is "not given" on the wire; the defaults are filled in afterwards.
  refuseOutside(probe.timeoutSeconds, 0, 3600, `${path}.timeout_seconds`, refuse);
  refuseOutside(probe.periodSeconds, 0, longestSeconds, `${path}.period_seconds`, refuse);
  refuseOutside(probe.failureThreshold, 0, 2 ** 31 - 1, `${path}.failure_threshold`, refuse);
  if ((probe.timeoutSeconds || 1) > (probe.periodSeconds || 10)) throw invalidArgument(`${path}.timeout_seconds`, 'Must not be greater than period_seconds.');
  const { case: kind, value } = probe.probeType;
  if (kind === undefined) throw refuse(path, 'exactly one of http_get, tcp_socket, or grpc must be specified.');
  const at = `${path}.${kind === 'httpGet' ? 'http_get' : kind === 'tcpSocket' ? 'tcp_socket' : 'grpc'}`;
  refuseOutside(value.port, 0, 65_535, `${at}.port`, refuse);
  if (value.port === 0 && container.ports.length === 0) throw invalidArgument(`${at}.port`, 'Must be given where the container has no port of its own.');
  if (kind !== 'httpGet') return;
  if (value.path !== '' && !value.path.startsWith('/')) throw refuse(`${at}.path`, "must begin with '/'.");
  for (const [index, header] of value.httpHeaders.entries()) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(header.name))
      throw refuse(`${at}.http_headers[${index}].name`, header.name === '' ? REQUIRED : 'must be the name of an HTTP header.');
    if (/[\r\n\0]/.test(header.value)) throw refuse(`${at}.http_headers[${index}].value`, 'must not contain a line break or the NUL character.');
  }
}

function refuseCycles(containers: readonly Container[]): void {
  for (const [index, container] of containers.entries()) {
    for (const [at, name] of container.dependsOn.entries()) {
      const path = `template.template.containers[${index}].depends_on[${at}]`;
      if (!containers.some((other) => other.name !== '' && other.name === name)) throw invalidArgument(path, `Container '${name}' is not defined.`);
      if (name === container.name) throw invalidArgument(path, `Container '${name}' cannot depend on itself.`);
    }
  }
  // Whoever depends on started containers only can start; who is left over waits in a circle.
  const started = new Set<string>();
  for (let before = -1; started.size > before; ) {
    before = started.size;
    for (const container of containers) if (container.dependsOn.every((name) => started.has(name))) started.add(container.name);
  }
  const stuck = containers.findIndex((container) => !started.has(container.name));
  if (stuck !== -1) throw invalidArgument(`template.template.containers[${stuck}].depends_on`, `The dependencies of container '${containers[stuck]?.name ?? ''}' form a circle.`);
}
