/**
 * What a secret may say: Google's limits. Source: the comments in google/cloud/secretmanager/v1/resources.proto
 * Deviation: topics and the times of rotation are checked, kept and shown, but nothing is published to a topic, and `next_rotation_time` stays as it was set.
 * Deviation: a customer-managed encryption key is kept and shown, but payloads are encrypted with this server's own key alone.
 */
import { create } from '@bufbuild/protobuf';
import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';
import { invalidRequest } from '../../errors.ts';
import { type Replication, type Rotation, RotationSchema, type Secret, SecretSchema } from '../../gen/google/cloud/secretmanager/v1/resources_pb.js';
import { fromDuration, fromTimestamp, MICROS_PER_MILLI, MICROS_PER_SECOND, type Micros, toTimestamp } from '../../timestamp.ts';

const MAX_LABELS = 64;
const LABEL_KEY = /^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u;
const LABEL_VALUE = /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u;
const ANNOTATION_KEY = /^[a-z0-9A-Z](?:[-_.a-z0-9A-Z]{0,61}[a-z0-9A-Z])?$/;
const MAX_ANNOTATION_BYTES = 16 * 1024;
const MAX_TOPICS = 10;
const TOPIC = /^projects\/[^/\s]+\/topics\/[^/\s]+$/;
const MAX_ALIASES = 50;
const ALIAS = /^[a-zA-Z][a-zA-Z0-9_-]{0,62}$/;
const CENTURY_SECONDS = 3_153_600_000;
const MIN_ROTATION_SECONDS = 3600;
const SOONEST_ROTATION_SECONDS = 300;
const DAY_SECONDS = 86_400;
const MAX_DESTROY_SECONDS = 1000 * DAY_SECONDS;

/** What an update may name in its mask. */
const PATHS: ReadonlySet<string> = new Set([
  'labels',
  'annotations',
  'topics',
  'version_aliases',
  'version_destroy_ttl',
  'expire_time',
  'ttl',
  'rotation',
  'rotation.next_rotation_time',
  'rotation.rotation_period',
  'replication',
  'replication.automatic.customer_managed_encryption',
  'replication.user_managed.replicas',
  'customer_managed_encryption',
]);

function refuse(field: string, description: string): never {
  throw invalidRequest(`secret.${field}: ${description}`, [{ field: `secret.${field}`, description }]);
}

/** The secret as it is stored. @param given as the request has it @throws INVALID_ARGUMENT */
export function newSecret(given: Secret | undefined, isRegional: boolean, now: Micros): Secret {
  if (given === undefined) throw invalidRequest('secret: Required field not present.', [{ field: 'secret', description: 'required' }]);
  const secret = create(SecretSchema, {
    createTime: toTimestamp(now),
    labels: given.labels,
    annotations: given.annotations,
    topics: given.topics,
    secretType: given.secretType,
    versionAliases: given.versionAliases,
  });
  setReplication(secret, given, isRegional);
  if (given.versionDestroyTtl !== undefined) secret.versionDestroyTtl = given.versionDestroyTtl;
  if (given.rotation !== undefined) secret.rotation = storedRotation(given.rotation);
  setExpiration(secret, given, now);
  checkSecret(secret);
  checkRotation(secret, now);
  return secret;
}

/** @param stored changed in place @param paths of the mask @throws INVALID_ARGUMENT */
export function applyUpdate(stored: Secret, given: Secret, paths: readonly string[], isRegional: boolean, now: Micros): void {
  if (paths.length === 0) throw invalidRequest('update_mask: Name the fields to change, for example labels.', [{ field: 'update_mask', description: 'required' }]);
  const unknown = paths.find((path) => !PATHS.has(path));
  if (unknown !== undefined)
    throw invalidRequest(`update_mask: ${JSON.stringify(unknown)} cannot be changed. It may name ${[...PATHS].join(', ')}.`, [{ field: 'update_mask', description: unknown }]);
  const has = (path: string) => paths.includes(path);
  if (has('labels')) stored.labels = given.labels;
  if (has('annotations')) stored.annotations = given.annotations;
  if (has('topics')) stored.topics = given.topics;
  if (has('version_aliases')) stored.versionAliases = given.versionAliases;
  if (has('version_destroy_ttl')) {
    if (given.versionDestroyTtl === undefined) delete stored.versionDestroyTtl;
    else stored.versionDestroyTtl = given.versionDestroyTtl;
  }
  if (has('expire_time') || has('ttl')) setExpiration(stored, given, now);
  if (paths.some((path) => path.startsWith('rotation'))) {
    updateRotation(stored, given.rotation, has);
    checkRotation(stored, now);
  }
  if (paths.some((path) => path.startsWith('replication')) || has('customer_managed_encryption')) updateEncryption(stored, given, isRegional);
  checkSecret(stored);
}

function setReplication(secret: Secret, given: Secret, isRegional: boolean): void {
  const { replication, customerManagedEncryption } = given;
  if (isRegional) {
    if (replication?.replication.case !== undefined) refuse('replication', 'A regional secret is in its region alone. Leave replication out.');
    if (customerManagedEncryption !== undefined) secret.customerManagedEncryption = customerManagedEncryption;
    return;
  }
  if (customerManagedEncryption !== undefined) refuse('customer_managed_encryption', 'is for regional secrets. A global one has its keys in replication.');
  if (replication?.replication.case === undefined) refuse('replication', 'Required field not present. Use automatic, or user_managed with its replicas.');
  else if (replication.replication.case === 'userManaged') {
    const places = replication.replication.value.replicas.map(({ location }) => location);
    if (places.length === 0 || places.includes('')) refuse('replication.user_managed.replicas', 'Name at least one location.');
    if (new Set(places).size < places.length) refuse('replication.user_managed.replicas', 'A location is named twice.');
  }
  if (replication !== undefined) secret.replication = replication;
}

/** The encryption keys of what is there may change; where it is may not. */
function updateEncryption(stored: Secret, given: Secret, isRegional: boolean): void {
  if (!isRegional && places(stored.replication) !== places(given.replication)) refuse('replication', 'is immutable: only the keys in it can be changed.');
  delete stored.customerManagedEncryption;
  setReplication(stored, given, isRegional);
}

function places(replication: Replication | undefined): string {
  const { replication: kind } = replication ?? { replication: { case: undefined } };
  return kind.case === 'userManaged' ? kind.value.replicas.map(({ location }) => location).join(' ') : (kind.case ?? '');
}

function setExpiration(secret: Secret, { expiration }: Secret, now: Micros): void {
  if (expiration.case === undefined) {
    secret.expiration = { case: undefined };
    return;
  }
  const isTtl = expiration.case === 'ttl';
  const field = isTtl ? 'ttl' : 'expire_time';
  const micros = isTtl ? now + fromDuration(expiration.value) * MICROS_PER_MILLI : fromTimestamp(expiration.value);
  if (micros <= now) refuse(field, isTtl ? 'must be more than 0s.' : `must be in the future, but is ${timeText(expiration.value)}.`);
  if (micros > now + CENTURY_SECONDS * MICROS_PER_SECOND) refuse(field, `must be at most ${CENTURY_SECONDS}s (100 years) away.`);
  secret.expiration = { case: 'expireTime', value: isTtl ? toTimestamp(micros) : expiration.value };
}

function timeText(time: Timestamp): string {
  return new Date(fromTimestamp(time) / MICROS_PER_MILLI).toISOString();
}

/** What the caller may say of a rotation; its status is for managed ones, which there are none of here. */
function storedRotation({ nextRotationTime, rotationPeriod }: Rotation): Rotation {
  const rotation = create(RotationSchema);
  if (nextRotationTime !== undefined) rotation.nextRotationTime = nextRotationTime;
  if (rotationPeriod !== undefined) rotation.rotationPeriod = rotationPeriod;
  return rotation;
}

function updateRotation(stored: Secret, given: Rotation | undefined, has: (path: string) => boolean): void {
  if (has('rotation')) {
    if (given === undefined) delete stored.rotation;
    else stored.rotation = storedRotation(given);
    return;
  }
  const { nextRotationTime, rotationPeriod } = stored.rotation ?? {};
  const next = has('rotation.next_rotation_time') ? given?.nextRotationTime : nextRotationTime;
  const period = has('rotation.rotation_period') ? given?.rotationPeriod : rotationPeriod;
  if (next === undefined && period === undefined) delete stored.rotation;
  else stored.rotation = create(RotationSchema, { ...(next === undefined ? {} : { nextRotationTime: next }), ...(period === undefined ? {} : { rotationPeriod: period }) });
}

/** Of a rotation that is set now: one that was set long ago may have come near. */
function checkRotation({ rotation }: Secret, now: Micros): void {
  if (rotation?.nextRotationTime === undefined) return;
  const seconds = (fromTimestamp(rotation.nextRotationTime) - now) / MICROS_PER_SECOND;
  if (seconds < SOONEST_ROTATION_SECONDS)
    refuse('rotation.next_rotation_time', `must be at least ${SOONEST_ROTATION_SECONDS}s in the future, but is ${timeText(rotation.nextRotationTime)}.`);
  if (seconds > CENTURY_SECONDS) refuse('rotation.next_rotation_time', `must be at most ${CENTURY_SECONDS}s (100 years) away.`);
}

function checkSecret({ labels, annotations, topics, versionAliases, versionDestroyTtl, rotation }: Secret): void {
  checkLabels(labels);
  checkAnnotations(annotations);
  if (topics.length > MAX_TOPICS) refuse('topics', `At most ${MAX_TOPICS} topics are allowed, but ${topics.length} were sent.`);
  for (const { name } of topics) if (!TOPIC.test(name)) refuse('topics', `${JSON.stringify(name)} is not the name of a topic: projects/*/topics/*.`);
  const aliases = Object.keys(versionAliases);
  if (aliases.length > MAX_ALIASES) refuse('version_aliases', `At most ${MAX_ALIASES} aliases are allowed, but ${aliases.length} were sent.`);
  for (const alias of aliases)
    if (!ALIAS.test(alias) || alias === 'latest' || alias === 'NEW')
      refuse(
        'version_aliases',
        `${JSON.stringify(alias)} cannot be an alias: it must begin with a letter, have at most 63 letters, digits, - and _, and be neither latest nor NEW.`,
      );
  if (versionDestroyTtl !== undefined) checkSeconds('version_destroy_ttl', versionDestroyTtl, DAY_SECONDS, MAX_DESTROY_SECONDS);
  if (rotation === undefined) return;
  if (rotation.rotationPeriod !== undefined) checkSeconds('rotation.rotation_period', rotation.rotationPeriod, MIN_ROTATION_SECONDS, CENTURY_SECONDS);
  if (rotation.nextRotationTime === undefined) refuse('rotation.next_rotation_time', 'must be set where rotation_period is.');
  if (topics.length === 0) refuse('topics', 'must be set to configure rotation.');
}

function checkSeconds(field: string, duration: Duration, least: number, most: number): void {
  const seconds = fromDuration(duration) / 1000;
  if (seconds < least || seconds > most) refuse(field, `must be from ${least}s to ${most}s, but is ${seconds}s.`);
}

function checkLabels(labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) refuse('labels', `At most ${MAX_LABELS} labels are allowed, but ${entries.length} were sent.`);
  for (const [key, value] of entries)
    if (!LABEL_KEY.test(key) || !LABEL_VALUE.test(value) || Buffer.byteLength(key) > 128 || Buffer.byteLength(value) > 128)
      refuse(
        'labels',
        `${JSON.stringify(key)}: ${JSON.stringify(value)} cannot be a label: a key has 1 to 63 and a value 0 to 63 lowercase letters, digits, _ and -, and a key begins with a letter.`,
      );
}

function checkAnnotations(annotations: Readonly<Record<string, string>>): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    if (!ANNOTATION_KEY.test(key))
      refuse('annotations', `${JSON.stringify(key)} cannot be a key: it must have 1 to 63 letters, digits, -, _ and ., and begin and end with a letter or digit.`);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > MAX_ANNOTATION_BYTES) refuse('annotations', `Annotations are limited to ${MAX_ANNOTATION_BYTES} bytes in total, but have ${bytes}.`);
}
