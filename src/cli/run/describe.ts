/** A job, an execution and a task in words, as `gcloud run jobs describe` prints them for people. */
import { showDuration } from '../values.ts';
import {
  type Container,
  conditionOf,
  type Execution,
  elapsed,
  executionState,
  exitOf,
  type Job,
  type Probe,
  progressOf,
  readySymbol,
  shortName,
  showTime,
  stateSymbol,
  type Task,
  type TaskTemplate,
  taskState,
  type Volume,
} from './shapes.ts';

type Row = readonly [label: string, value: string | number | undefined];

export function describeJob(job: Job): string {
  const [, , , region = ''] = (job.name ?? '').split('/');
  const count = job.executionCount ?? 0;
  const latest = job.latestCreatedExecution;
  const head = [`${readySymbol(job.terminalCondition)} Job ${shortName(job.name)} in region ${region}`, `Executed ${count} time${count === 1 ? '' : 's'}`];
  if (latest?.name !== undefined) head.push(`Last executed ${showTime(latest.createTime)} with execution ${shortName(latest.name)}${outcome(latest.completionStatus)}`);
  head.push(`Last updated on ${showTime(job.updateTime)} by ${job.lastModifier ?? 'an unknown caller'}`);
  const template = job.template ?? {};
  const rows: Row[] = [
    ...containerRows(template.template?.containers ?? []),
    ['Tasks', template.taskCount ?? 1],
    ['Parallelism', template.parallelism || 'as many as possible'],
    ...taskRows(template.template ?? {}),
    ['Binary Authorization', job.binaryAuthorization?.policy ?? (job.binaryAuthorization?.useDefault === true ? 'default policy' : undefined)],
    ['Breakglass', job.binaryAuthorization?.breakglassJustification],
    ['Labels', pairs(job.labels)],
  ];
  const message = job.terminalCondition?.state === 'CONDITION_FAILED' ? [`\n${job.terminalCondition.message ?? 'The job is not ready.'}`] : [];
  return [...head, '', ...layOut(rows), ...message].join('\n');
}

export function describeExecution(execution: Execution, nowMs: number): string {
  const [, , , region = ''] = (execution.name ?? '').split('/');
  const completed = conditionOf(execution, 'Completed');
  const state = executionState(execution);
  const rows: Row[] = [
    ['State', state],
    ['Message', completed?.message],
    ['Progress', progressOf(execution)],
    ['Job', shortName(execution.job)],
    ['Created', `${showTime(execution.createTime)}${execution.creator === undefined ? '' : ` by ${execution.creator}`}`],
    ['Started', showTime(execution.startTime)],
    ['Ended', showTime(execution.completionTime)],
    ['Elapsed', elapsed(execution.createTime, execution.completionTime, nowMs)],
    ...containerRows(execution.template?.containers ?? []),
    ['Tasks', execution.taskCount ?? 1],
    ['Parallelism', execution.parallelism || 'as many as possible'],
    ...taskRows(execution.template ?? {}),
    ['Log URI', execution.logUri],
  ];
  return [`${stateSymbol(state)} Execution ${shortName(execution.name)} in region ${region}`, '', ...layOut(rows), ...warnings(execution)].join('\n');
}

export function describeTask(task: Task, nowMs: number): string {
  const state = taskState(task);
  const result = task.lastAttemptResult;
  const rows: Row[] = [
    ['State', state],
    ['Message', conditionOf(task, 'Completed')?.message],
    ['Index', task.index ?? 0],
    ['Retries', task.retried ?? 0],
    ['Exit code', exitOf(task)],
    ['Last attempt', result?.status?.message],
    ['Execution', shortName(task.execution)],
    ['Started', showTime(task.startTime)],
    ['Ended', showTime(task.completionTime)],
    ['Elapsed', elapsed(task.startTime, task.completionTime, nowMs)],
    ...containerRows(task.containers ?? []),
    ...taskRows(task),
  ];
  return [`${stateSymbol(state)} Task ${shortName(task.name)}`, '', ...layOut(rows)].join('\n');
}

function containerRows(containers: readonly Container[]): Row[] {
  return containers.flatMap((container): Row[] => [
    ...(containers.length > 1 ? [[`Container ${container.name ?? ''}`, ''] as const] : []),
    ['Image', container.image],
    ['Command', container.command?.join(' ')],
    ['Args', container.args?.join(' ')],
    ['Working directory', container.workingDir],
    ['Memory', container.resources?.limits?.['memory']],
    ['CPU', container.resources?.limits?.['cpu']],
    ['GPU', container.resources?.limits?.['nvidia.com/gpu']],
    ['Depends on', container.dependsOn?.join(', ')],
    ['Startup probe', container.startupProbe === undefined ? undefined : probe(container.startupProbe)],
    ...(container.volumeMounts ?? []).map((mount): Row => [`Mount ${mount.mountPath ?? ''}`, `volume ${mount.name ?? ''}`]),
    ...(container.env ?? []).map(
      (variable): Row => [
        `Env ${variable.name ?? ''}`,
        variable.valueSource?.secretKeyRef === undefined
          ? (variable.value ?? '""')
          : `secret ${variable.valueSource.secretKeyRef.secret ?? ''}:${variable.valueSource.secretKeyRef.version ?? 'latest'}`,
      ],
    ),
  ]);
}

/** `HTTP port 8080 /ready, every 10s`. */
function probe({ httpGet, tcpSocket, grpc, periodSeconds }: Probe): string {
  const [kind, port, path = ''] = httpGet !== undefined ? ['HTTP', httpGet.port, httpGet.path] : grpc !== undefined ? ['gRPC', grpc.port, grpc.service] : ['TCP', tcpSocket?.port];
  return `${kind} port ${port ?? 'of the container'}${path === '' ? '' : ` ${path}`}, every ${periodSeconds ?? 10}s`;
}

function taskRows(task: TaskTemplate): Row[] {
  return [
    ...(task.volumes ?? []).map((volume): Row => [`Volume ${volume.name ?? ''}`, volumeKind(volume)]),
    ['Task timeout', showDuration(task.timeout)],
    ['Max retries', task.maxRetries ?? 0],
    ['Service account', task.serviceAccount],
    ...networkRows(task.vpcAccess ?? {}),
    ['GPU type', task.nodeSelector?.accelerator],
    ['Encryption key', task.encryptionKey],
  ];
}

function networkRows({ connector, egress, networkInterfaces = [] }: NonNullable<TaskTemplate['vpcAccess']>): Row[] {
  return [
    ['VPC connector', connector],
    ...networkInterfaces.flatMap(({ network, subnetwork, tags }): Row[] => [
      ['VPC network', network],
      ['VPC subnet', subnetwork],
      ['Network tags', tags?.join(', ')],
    ]),
    ['VPC egress', egress?.toLowerCase().replaceAll('_', '-')],
  ];
}

function volumeKind({ emptyDir, secret, cloudSqlInstance, nfs, gcs }: Volume): string {
  const readOnly = nfs?.readOnly === true || gcs?.readOnly === true ? ', read only' : '';
  if (emptyDir !== undefined)
    return `${emptyDir.medium === 'MEMORY' ? 'in memory' : 'empty directory'}${emptyDir.sizeLimit === undefined ? '' : `, at most ${emptyDir.sizeLimit}`}`;
  if (secret !== undefined)
    return `secret ${secret.secret ?? ''}: ${(secret.items ?? []).map(({ path, version }) => `${path ?? ''} is version ${version ?? ''}`).join(', ') || 'the latest version'}`;
  if (cloudSqlInstance !== undefined) return `Cloud SQL ${(cloudSqlInstance.instances ?? []).join(', ')}`;
  if (nfs !== undefined) return `NFS ${nfs.server ?? ''}:${nfs.path ?? ''}${readOnly}`;
  return gcs === undefined ? 'of a kind that is not known here' : `bucket ${gcs.bucket ?? ''}${readOnly}`;
}

/** Conditions of a lower severity say what was done differently: a limit clamped, another architecture. */
function warnings(execution: Execution): string[] {
  const found = (execution.conditions ?? []).filter((condition) => condition.severity === 'WARNING' && condition.message !== undefined);
  return found.map((condition) => `\nWARNING: ${condition.message}`);
}

function outcome(status: string | undefined): string {
  return status?.startsWith('EXECUTION_') === true ? ` (${status.slice('EXECUTION_'.length).toLowerCase()})` : '';
}

function pairs(labels: Readonly<Record<string, string>> | undefined): string | undefined {
  return labels === undefined
    ? undefined
    : Object.entries(labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(', ');
}

function layOut(rows: readonly Row[]): string[] {
  const shown = rows.filter(([label, value]) => (value !== undefined && value !== '') || label.startsWith('Container '));
  const width = Math.max(...shown.map(([label]) => label.length)) + 2;
  return shown.map(([label, value]) => `${`${label}:`.padEnd(width)} ${value ?? ''}`.trimEnd());
}
