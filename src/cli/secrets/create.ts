/** `secrets create`, in gcloud's grammar. */
import { Option } from 'commander';
import { SECRETS } from '../api.ts';
import { type CliCommand, defineCommand, onRun, type Shell } from '../command.ts';
import { readDocument } from '../documents.ts';
import { usageFailure } from '../failure.ts';
import { isRecord } from '../json.ts';
import type { Session } from '../session.ts';
import { collectList, collectPairs, parseDuration } from '../values.ts';
import { addVersion, idOf, type LocationFlags, readPayload, type Secret, secretParent, withDataFile, withLocation } from './secret.ts';

interface CreateFlags extends LocationFlags {
  readonly dataFile?: string;
  readonly replicationPolicy?: 'automatic' | 'user-managed';
  readonly replicationPolicyFile?: string;
  readonly locations?: readonly string[];
  readonly kmsKeyName?: string;
  readonly regionalKmsKeyName?: string;
  readonly labels?: ReadonlyMap<string, string>;
  readonly setAnnotations?: ReadonlyMap<string, string>;
  readonly tags?: ReadonlyMap<string, string>;
  readonly topics?: readonly string[];
  readonly expireTime?: string;
  /** Seconds. */
  readonly ttl?: number;
  readonly nextRotationTime?: string;
  readonly rotationPeriod?: number;
  readonly versionDestroyTtl?: number;
}

export function registerCreate(group: CliCommand, shell: Shell): void {
  const create = withDataFile(
    withLocation(
      defineCommand(group, 'create <secret>', {
        summary: 'create a secret, and its first version where a payload is given',
        examples: [
          'printf "s3cr3t" | actas secrets create my-secret --data-file=-',
          'actas secrets create my-secret --replication-policy=user-managed --locations=us-east1,us-central1',
        ],
      }),
    ),
  )
    .addOption(new Option('--replication-policy <policy>', 'where payloads are kept (default: automatic)').choices(['automatic', 'user-managed']))
    .addOption(new Option('--locations <regions>', 'the regions of a user-managed policy').argParser(collectList))
    .addOption(new Option('--replication-policy-file <file>', 'a replication as JSON or YAML; - reads stdin').conflicts(['replicationPolicy', 'locations', 'kmsKeyName']))
    .option('--kms-key-name <key>', 'a Cloud KMS key for an automatic policy: kept, not used here')
    .option('--regional-kms-key-name <key>', 'the same for a regional secret')
    .option('--labels <pairs>', 'KEY=VALUE,...', collectPairs)
    .option('--set-annotations <pairs>', 'KEY=VALUE,...', collectPairs)
    .option('--tags <pairs>', 'KEY=VALUE,...: tagKeys/1=tagValues/2, or 123/env=prod', collectPairs)
    .option('--topics <topics>', 'projects/PROJECT/topics/TOPIC,...: kept, nothing is published here', collectList)
    .addOption(new Option('--expire-time <time>', 'when the secret ends: 2030-01-01T00:00:00Z').conflicts('ttl'))
    .option('--ttl <duration>', 'after how long it ends: 30d, 3600s', parseDuration)
    .option('--next-rotation-time <time>', 'when it is to be rotated')
    .option('--rotation-period <duration>', 'how often', parseDuration)
    .option('--version-destroy-ttl <duration>', 'how long a version that is to be destroyed can be called back', parseDuration);
  onRun<CreateFlags>(create, shell, async (session, id) => {
    const { flags, terminal } = session;
    const data = await readPayload(session, flags.dataFile);
    const secret = await secretOf(session);
    const parent = await secretParent(session);
    const end = flags.expireTime ?? (flags.ttl === undefined ? undefined : `in ${flags.ttl}s`);
    if (end !== undefined && !(await terminal.confirm(`This secret and all of its versions will be deleted by themselves (${end}). Continue?`))) return;
    const api = await session.api();
    const made = await api.send<Secret>('POST', SECRETS, `${parent}/secrets`, secret, { secretId: id });
    if (data === undefined) return terminal.note(`Created secret [${id}].`);
    const version = await addVersion(api, made.name ?? `${parent}/secrets/${id}`, data);
    terminal.note(`Created version [${idOf(version)}] of the secret [${id}].`);
  });
}

async function secretOf(session: Session<CreateFlags>): Promise<object> {
  const { flags } = session;
  const seconds = (value: number | undefined) => (value === undefined ? undefined : `${value}s`);
  const rotation = { nextRotationTime: flags.nextRotationTime, rotationPeriod: seconds(flags.rotationPeriod) };
  return {
    ...(await placeOf(session)),
    labels: objectOf(flags.labels),
    annotations: objectOf(flags.setAnnotations),
    tags: objectOf(flags.tags),
    topics: flags.topics?.map((name) => ({ name })),
    expireTime: flags.expireTime,
    ttl: seconds(flags.ttl),
    versionDestroyTtl: seconds(flags.versionDestroyTtl),
    ...(Object.values(rotation).some((value) => value !== undefined) ? { rotation } : {}),
  };
}

const objectOf = (pairs: ReadonlyMap<string, string> | undefined) => (pairs === undefined ? undefined : Object.fromEntries(pairs));

/** @throws usage for flags that go ill together, in gcloud's sense */
async function placeOf(session: Session<CreateFlags>): Promise<object> {
  const { location, replicationPolicy, replicationPolicyFile, locations, kmsKeyName, regionalKmsKeyName } = session.flags;
  const key = (kmsKeyName: string | undefined) => (kmsKeyName === undefined ? {} : { customerManagedEncryption: { kmsKeyName } });
  if (location !== undefined) {
    if (replicationPolicy !== undefined || replicationPolicyFile !== undefined || locations !== undefined || kmsKeyName !== undefined)
      throw usageFailure('A regional secret (--location) has no replication.', 'Leave out --replication-policy, --replication-policy-file, --locations and --kms-key-name.');
    return key(regionalKmsKeyName);
  }
  if (regionalKmsKeyName !== undefined) throw usageFailure('--regional-kms-key-name is for regional secrets.', 'Add --location=REGION, or use --kms-key-name.');
  if (replicationPolicyFile !== undefined) {
    const replication = await readDocument(session, replicationPolicyFile);
    if (!isRecord(replication)) throw usageFailure(`${replicationPolicyFile} does not hold a replication.`, 'For example {"automatic": {}}');
    return { replication };
  }
  if (replicationPolicy === 'user-managed') {
    if (locations === undefined) throw usageFailure('A user-managed replication policy needs --locations.', 'For example --locations=us-east1,us-central1');
    if (kmsKeyName !== undefined) throw usageFailure('--kms-key-name is for an automatic replication policy.', 'For the keys of replicas use --replication-policy-file.');
    return { replication: { userManaged: { replicas: locations.map((region) => ({ location: region })) } } };
  }
  if (locations !== undefined) throw usageFailure('--locations are for a user-managed replication policy.', 'Add --replication-policy=user-managed, or leave --locations out.');
  return { replication: { automatic: key(kmsKeyName) } };
}
