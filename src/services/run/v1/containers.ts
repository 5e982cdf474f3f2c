/** Containers, probes and environment variables, from v1 to v2 and back. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalidArgument } from '../../../errors.ts';
import type * as v1 from '../../../gen/google/cloud/run/v1/resources_pb.js';
import type { ContainerSchema, EnvVarSchema, ProbeSchema } from '../../../gen/google/cloud/run/v1/resources_pb.js';
import type * as v2 from '../../../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { ContainerSchema as V2ContainerSchema, EnvVarSchema as V2EnvVarSchema, ProbeSchema as V2ProbeSchema } from '../../../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { SecretAliases } from './secrets.ts';

/** @param path for errors, `spec.template.spec.template.spec.containers[0]` */
export function containerToV2(from: v1.Container, secrets: SecretAliases, dependsOn: readonly string[], path: string): MessageInitShape<typeof V2ContainerSchema> {
  const { name, image, command, args, workingDir, ports, volumeMounts, resources } = from;
  return {
    name,
    image,
    command,
    args,
    workingDir,
    dependsOn: [...dependsOn],
    env: from.env.map((variable, index) => envToV2(variable, secrets, `${path}.env[${index}]`)),
    ports: ports.map((port) => ({ name: port.name, containerPort: port.containerPort })),
    volumeMounts: volumeMounts.map(({ name: volume, mountPath, subPath }) => ({ name: volume, mountPath, subPath })),
    // Requests are taken and ignored: gcloud sends them empty.
    ...(resources === undefined ? {} : { resources: { limits: { ...resources.limits } } }),
    ...probesToV2(from, path),
  };
}

export function containerToV1(from: v2.Container, secrets: SecretAliases, isHiddenVolume: (volume: string) => boolean): MessageInitShape<typeof ContainerSchema> {
  const { name, image, command, args, workingDir, ports, volumeMounts, resources, livenessProbe, startupProbe, readinessProbe } = from;
  return {
    name,
    image,
    command,
    args,
    workingDir,
    env: from.env.map((variable) => envToV1(variable, secrets)),
    ports: ports.map((port) => ({ name: port.name, containerPort: port.containerPort })),
    volumeMounts: volumeMounts.filter((mount) => !isHiddenVolume(mount.name)).map(({ name: volume, mountPath, subPath }) => ({ name: volume, mountPath, subPath })),
    ...(resources === undefined ? {} : { resources: { limits: { ...resources.limits } } }),
    ...(livenessProbe === undefined ? {} : { livenessProbe: probeToV1(livenessProbe) }),
    ...(startupProbe === undefined ? {} : { startupProbe: probeToV1(startupProbe) }),
    ...(readinessProbe === undefined ? {} : { readinessProbe: probeToV1(readinessProbe) }),
  };
}

/** Also of the overrides of a run. */
export function envToV2(from: v1.EnvVar, secrets: SecretAliases, path: string): MessageInitShape<typeof V2EnvVarSchema> {
  const ref = from.valueFrom?.secretKeyRef;
  if (from.valueFrom === undefined) return { name: from.name, values: { case: 'value', value: from.value } };
  if (ref === undefined) throw invalidArgument(`${path}.value_from`, 'must have a secret_key_ref.');
  if (from.value !== '') throw invalidArgument(path, 'has both a value and value_from.');
  return { name: from.name, values: { case: 'valueSource', value: { secretKeyRef: { secret: secrets.secretOf(ref.name), version: ref.key } } } };
}

function envToV1(from: v2.EnvVar, secrets: SecretAliases): MessageInitShape<typeof EnvVarSchema> {
  const { name, values } = from;
  if (values.case !== 'valueSource') return { name, value: values.value ?? '' };
  const { secret = '', version = '' } = values.value.secretKeyRef ?? {};
  return { name, valueFrom: { secretKeyRef: { name: secrets.aliasOf(secret), key: version } } };
}

function probesToV2(from: v1.Container, path: string) {
  const { livenessProbe, startupProbe, readinessProbe } = from;
  return {
    ...(livenessProbe === undefined ? {} : { livenessProbe: probeToV2(livenessProbe, `${path}.liveness_probe`) }),
    ...(startupProbe === undefined ? {} : { startupProbe: probeToV2(startupProbe, `${path}.startup_probe`) }),
    ...(readinessProbe === undefined ? {} : { readinessProbe: probeToV2(readinessProbe, `${path}.readiness_probe`) }),
  };
}

function probeToV2(from: v1.Probe, path: string): MessageInitShape<typeof V2ProbeSchema> {
  const { initialDelaySeconds, timeoutSeconds, periodSeconds, failureThreshold, successThreshold, httpGet, tcpSocket, grpc } = from;
  // Kubernetes allows no other for these probes; Cloud Run has no field for it.
  if (successThreshold > 1) throw invalidArgument(`${path}.success_threshold`, `must be 1, but is ${successThreshold}.`);
  if ([httpGet, tcpSocket, grpc].filter((kind) => kind !== undefined).length > 1) throw invalidArgument(path, 'must have one of http_get, tcp_socket and grpc alone.');
  const numbers = { initialDelaySeconds, timeoutSeconds, periodSeconds, failureThreshold };
  if (httpGet !== undefined) {
    const { path: at, port, httpHeaders, host, scheme } = httpGet;
    if (host !== '' || (scheme !== '' && scheme !== 'HTTP')) throw invalidArgument(`${path}.http_get`, 'host and scheme are not supported.');
    return { ...numbers, probeType: { case: 'httpGet', value: { path: at, port, httpHeaders: httpHeaders.map(({ name, value }) => ({ name, value })) } } };
  }
  if (tcpSocket !== undefined) return { ...numbers, probeType: { case: 'tcpSocket', value: { port: tcpSocket.port } } };
  return grpc === undefined ? numbers : { ...numbers, probeType: { case: 'grpc', value: { port: grpc.port, service: grpc.service } } };
}

function probeToV1(from: v2.Probe): MessageInitShape<typeof ProbeSchema> {
  const { initialDelaySeconds, timeoutSeconds, periodSeconds, failureThreshold, probeType } = from;
  const numbers = { initialDelaySeconds, timeoutSeconds, periodSeconds, failureThreshold };
  switch (probeType.case) {
    case 'httpGet': {
      const { path, port, httpHeaders } = probeType.value;
      return { ...numbers, httpGet: { path, port, httpHeaders: httpHeaders.map(({ name, value }) => ({ name, value })) } };
    }
    case 'tcpSocket':
      return { ...numbers, tcpSocket: { port: probeType.value.port } };
    case 'grpc':
      return { ...numbers, grpc: { port: probeType.value.port, service: probeType.value.service } };
    default:
      return numbers;
  }
}
