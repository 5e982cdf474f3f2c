/** The flags about what a job's tasks reach: a network of the project's (VPC), and Cloud SQL instances. */
import { InvalidArgumentError, Option } from 'commander';
import type { CliCommand } from '../command.ts';
import { collectList } from '../values.ts';
import type { Container, TaskTemplate } from './shapes.ts';

export interface ConnectionFlags {
  readonly vpcConnector?: string;
  readonly clearVpcConnector?: boolean;
  readonly vpcEgress?: 'ALL_TRAFFIC' | 'PRIVATE_RANGES_ONLY';
  readonly network?: string;
  readonly subnet?: string;
  readonly networkTags?: readonly string[];
  readonly clearNetworkTags?: boolean;
  readonly clearNetwork?: boolean;
  readonly setCloudsqlInstances?: readonly string[];
  readonly addCloudsqlInstances?: readonly string[];
  readonly removeCloudsqlInstances?: readonly string[];
  readonly clearCloudsqlInstances?: boolean;
}

/** What gcloud's annotation for instances is in v2: one volume, mounted in every container. */
const SQL_VOLUME = 'cloudsql';
const SQL_PATH = '/cloudsql';

/** @param changes whether the job may exist already, so that there may be something to remove */
export function addConnectionFlags(command: CliCommand, changes: boolean): CliCommand {
  command
    .addOption(new Option('--vpc-connector <connector>', 'a VPC connector, by its name or in full; kept in the job, no traffic goes through it here'))
    .addOption(new Option('--vpc-egress <egress>', 'what goes through the network: all-traffic, private-ranges-only').argParser(parseEgress))
    .addOption(new Option('--network <network>', 'a VPC network; kept in the job, tasks have one network here'))
    .addOption(new Option('--subnet <subnet>', 'a subnetwork of it'))
    .addOption(new Option('--network-tags <tags>', 'network tags').argParser(collectList).conflicts('clearNetworkTags'))
    .addOption(new Option('--set-cloudsql-instances <instances>', 'Cloud SQL instances, NAME or PROJECT:REGION:NAME; replaces all').argParser(collectList));
  if (!changes) return command;
  const networks = ['network', 'subnet', 'networkTags', 'clearNetworkTags'];
  const instances = ['setCloudsqlInstances', 'addCloudsqlInstances', 'removeCloudsqlInstances'];
  return command
    .addOption(new Option('--clear-vpc-connector', 'takes the connector away'))
    .addOption(new Option('--clear-network', 'takes the network away').conflicts(networks))
    .addOption(new Option('--clear-network-tags', 'takes the network tags away'))
    .addOption(new Option('--add-cloudsql-instances <instances>', 'adds these instances').argParser(collectList).conflicts('setCloudsqlInstances'))
    .addOption(new Option('--remove-cloudsql-instances <instances>', 'removes these instances').argParser(collectList).conflicts(instances.slice(0, 2)))
    .addOption(new Option('--clear-cloudsql-instances', 'removes all instances').conflicts(instances));
}

function parseEgress(text: string): string {
  if (text === 'all-traffic' || text === 'all') return 'ALL_TRAFFIC';
  if (text === 'private-ranges-only') return 'PRIVATE_RANGES_ONLY';
  throw new InvalidArgumentError('Allowed choices are all-traffic, private-ranges-only, all.');
}

/** Changes the task's network in place. @param place where a short name's resource is */
export function applyNetworkFlags(task: TaskTemplate, flags: ConnectionFlags, place: { readonly project: string; readonly region: string }): void {
  const access = { ...task.vpcAccess };
  if (flags.vpcConnector)
    access.connector = flags.vpcConnector.includes('/') ? flags.vpcConnector : `projects/${place.project}/locations/${place.region}/connectors/${flags.vpcConnector}`;
  if (flags.vpcEgress !== undefined) access.egress = flags.vpcEgress;
  if (flags.clearVpcConnector === true) {
    delete access.connector;
    delete access.egress;
  }
  if (flags.network !== undefined || flags.subnet !== undefined || flags.networkTags !== undefined || flags.clearNetworkTags === true) {
    const before = access.networkInterfaces?.[0] ?? {};
    const network = flags.network ?? before.network ?? '';
    const subnetwork = flags.subnet ?? before.subnetwork ?? '';
    const tags = flags.networkTags ?? (flags.clearNetworkTags === true ? [] : (before.tags ?? []));
    access.networkInterfaces = [{ ...(network === '' ? {} : { network }), ...(subnetwork === '' ? {} : { subnetwork }), ...(tags.length === 0 ? {} : { tags: [...tags] }) }];
    if (Object.keys(access.networkInterfaces[0] ?? {}).length === 0) flags = { ...flags, clearNetwork: true };
  }
  if (flags.clearNetwork === true) {
    delete access.networkInterfaces;
    delete access.egress;
  }
  if (Object.keys(access).length > 0) task.vpcAccess = access;
  else delete task.vpcAccess;
}

/** Changes the instances in place; with none the volume goes, with its mounts. */
export function applyCloudSqlFlags(task: TaskTemplate, flags: ConnectionFlags, place: { readonly project: string; readonly region: string }): void {
  const { setCloudsqlInstances: all, addCloudsqlInstances: added, removeCloudsqlInstances: removed, clearCloudsqlInstances: clear } = flags;
  if (all === undefined && added === undefined && removed === undefined && clear !== true) return;
  const whole = (given: string): string => (given.includes(':') ? given : `${place.project}:${place.region}:${given}`);
  const volumes = task.volumes ?? [];
  const before = volumes.flatMap(({ cloudSqlInstance }) => cloudSqlInstance?.instances ?? []);
  const gone = new Set(removed?.map(whole));
  const instances = [...new Set([...(clear === true || all !== undefined ? [] : before), ...(all ?? []).map(whole), ...(added ?? []).map(whole)])].filter(
    (name) => !gone.has(name),
  );
  const old = new Set(volumes.flatMap(({ name, cloudSqlInstance }) => (cloudSqlInstance === undefined ? [] : [name])));
  task.volumes = volumes.filter(({ name }) => !old.has(name));
  for (const container of task.containers ?? []) if (container.volumeMounts !== undefined) container.volumeMounts = container.volumeMounts.filter(({ name }) => !old.has(name));
  if (instances.length === 0) return;
  task.volumes.push({ name: SQL_VOLUME, cloudSqlInstance: { instances } });
  for (const container of task.containers ?? []) mountCloudSql(task, container);
}

/** A container that is new in a job has the instances that the others have. */
export function mountCloudSql(task: TaskTemplate, container: Container): void {
  if (!(task.volumes ?? []).some(({ name, cloudSqlInstance }) => name === SQL_VOLUME && cloudSqlInstance !== undefined)) return;
  const mounts = container.volumeMounts ?? [];
  if (!mounts.some(({ name }) => name === SQL_VOLUME)) container.volumeMounts = [...mounts, { name: SQL_VOLUME, mountPath: SQL_PATH }];
}
