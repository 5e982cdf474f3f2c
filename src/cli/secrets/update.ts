/** `secrets update`, in gcloud's grammar: only what the flags name is changed. */
import { Option } from 'commander';
import { SECRETS } from '../api.ts';
import { type CliCommand, defineCommand, onRun, type Shell } from '../command.ts';
import { usageFailure } from '../failure.ts';
import { addMapFlags, changedMap, isChange, type MapChange } from '../map-flags.ts';
import { collectList, parseDuration } from '../values.ts';
import { idOf, type LocationFlags, type Secret, secretName, withLocation } from './secret.ts';

interface UpdateFlags extends LocationFlags {
  readonly etag?: string;
  readonly updateLabels?: ReadonlyMap<string, string>;
  readonly removeLabels?: readonly string[];
  readonly clearLabels?: boolean;
  readonly updateAnnotations?: ReadonlyMap<string, string>;
  readonly removeAnnotations?: readonly string[];
  readonly clearAnnotations?: boolean;
  readonly updateVersionAliases?: ReadonlyMap<string, string>;
  readonly removeVersionAliases?: readonly string[];
  readonly clearVersionAliases?: boolean;
  readonly addTopics?: readonly string[];
  readonly removeTopics?: readonly string[];
  readonly clearTopics?: boolean;
  readonly expireTime?: string;
  /** Seconds. */
  readonly ttl?: number;
  readonly removeExpiration?: boolean;
  readonly nextRotationTime?: string;
  readonly rotationPeriod?: number;
  readonly removeNextRotationTime?: boolean;
  readonly removeRotationPeriod?: boolean;
  readonly removeRotationSchedule?: boolean;
  readonly versionDestroyTtl?: number;
  readonly removeVersionDestroyTtl?: boolean;
  readonly regionalKmsKeyName?: string;
  readonly removeRegionalKmsKeyName?: boolean;
}

export function registerUpdate(group: CliCommand, shell: Shell): void {
  const update = withLocation(
    defineCommand(group, 'update <secret>', {
      summary: "change a secret's labels, aliases, expiry and the rest",
      examples: ['actas secrets update my-secret --update-labels=team=blue --remove-labels=old', 'actas secrets update my-secret --update-version-aliases=prod=3'],
    }),
  ).option('--etag <etag>', 'refuse where the secret is not that one any more');
  for (const name of ['labels', 'annotations', 'version-aliases']) addMapFlags(update, name);
  update
    .addOption(new Option('--add-topics <topics>', 'projects/PROJECT/topics/TOPIC,...').argParser(collectList))
    .addOption(new Option('--remove-topics <topics>', 'topics to remove').argParser(collectList))
    .option('--clear-topics', 'remove all topics')
    .addOption(new Option('--expire-time <time>', 'when the secret ends: 2030-01-01T00:00:00Z').conflicts(['ttl', 'removeExpiration']))
    .addOption(new Option('--ttl <duration>', 'after how long it ends: 30d, 3600s').argParser(parseDuration).conflicts('removeExpiration'))
    .option('--remove-expiration', 'let it live')
    .addOption(new Option('--next-rotation-time <time>', 'when it is to be rotated').conflicts('removeNextRotationTime'))
    .addOption(new Option('--rotation-period <duration>', 'how often').argParser(parseDuration).conflicts('removeRotationPeriod'))
    .option('--remove-next-rotation-time', 'take the time away')
    .option('--remove-rotation-period', 'take the period away')
    .option('--remove-rotation-schedule', 'take both away')
    .addOption(new Option('--version-destroy-ttl <duration>', 'how long a version that is to be destroyed can be called back').argParser(parseDuration))
    .option('--remove-version-destroy-ttl', 'destroy versions at once')
    .option('--regional-kms-key-name <key>', 'a Cloud KMS key for a regional secret: kept, not used here')
    .option('--remove-regional-kms-key-name', 'take the key away');
  onRun<UpdateFlags>(update, shell, async (session, given) => {
    const { flags, terminal } = session;
    const change = plainChange(flags);
    const maps = mapChanges(flags);
    const changesTopics = flags.addTopics !== undefined || flags.removeTopics !== undefined || flags.clearTopics === true;
    const changed = [...maps.map(({ field }) => field), ...(changesTopics ? ['topics'] : [])];
    if (changed.length === 0 && change.mask.length === 0)
      throw usageFailure('Nothing to change.', 'Name what, for example --update-labels=KEY=VALUE. See actas secrets update --help.');
    const name = await secretName(session, given);
    const api = await session.api();
    const before = changed.length > 0 ? await api.get<Secret>(SECRETS, name) : {};
    const body: Record<string, unknown> = { ...change.body, etag: flags.etag };
    for (const { field, ...map } of maps) body[field] = changedMap(before[field] ?? {}, map);
    if (changesTopics) body['topics'] = changedTopics(before, flags).map((topic) => ({ name: topic }));
    const updated = await api.send<Secret>('PATCH', SECRETS, name, body, { updateMask: [...changed, ...change.mask].join(',') });
    terminal.note(`Updated secret [${idOf(updated)}].`);
  });
}

type MapField = 'labels' | 'annotations' | 'versionAliases';

function mapChanges(flags: UpdateFlags): (MapChange & { readonly field: MapField })[] {
  return [
    { field: 'labels' as const, update: flags.updateLabels, remove: flags.removeLabels, clear: flags.clearLabels },
    { field: 'annotations' as const, update: flags.updateAnnotations, remove: flags.removeAnnotations, clear: flags.clearAnnotations },
    { field: 'versionAliases' as const, update: flags.updateVersionAliases, remove: flags.removeVersionAliases, clear: flags.clearVersionAliases },
  ].filter(isChange);
}

function changedTopics({ topics = [] }: Secret, { addTopics = [], removeTopics = [], clearTopics }: UpdateFlags): string[] {
  const kept = clearTopics === true ? [] : topics.map(({ name = '' }) => name).filter((name) => !removeTopics.includes(name));
  return [...new Set([...kept, ...addTopics])];
}

/** What is changed without knowing what was there. */
function plainChange(flags: UpdateFlags): { readonly body: object; readonly mask: readonly string[] } {
  const mask: string[] = [];
  const named = <T>(path: string, value: T | undefined, removed: boolean | undefined): T | undefined => {
    if (value !== undefined || removed === true) mask.push(path);
    return value;
  };
  const seconds = (value: number | undefined) => (value === undefined ? undefined : `${value}s`);
  const body = {
    expireTime: named('expireTime', flags.expireTime, flags.removeExpiration),
    ttl: named('ttl', seconds(flags.ttl), false),
    rotation: {
      nextRotationTime: named('rotation.nextRotationTime', flags.nextRotationTime, flags.removeNextRotationTime ?? flags.removeRotationSchedule),
      rotationPeriod: named('rotation.rotationPeriod', seconds(flags.rotationPeriod), flags.removeRotationPeriod ?? flags.removeRotationSchedule),
    },
    versionDestroyTtl: named('versionDestroyTtl', seconds(flags.versionDestroyTtl), flags.removeVersionDestroyTtl),
    customerManagedEncryption: named(
      'customerManagedEncryption',
      flags.regionalKmsKeyName === undefined ? undefined : { kmsKeyName: flags.regionalKmsKeyName },
      flags.removeRegionalKmsKeyName,
    ),
  };
  return { body, mask };
}
