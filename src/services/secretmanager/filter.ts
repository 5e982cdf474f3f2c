/** What lists of secrets and versions can be filtered by. Source: https://cloud.google.com/secret-manager/docs/filtering */
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import type { Secret, SecretVersion } from '../../gen/google/cloud/secretmanager/v1/resources_pb.js';
import { SecretVersion_State } from '../../gen/google/cloud/secretmanager/v1/resources_pb.js';
import { fromTimestamp } from '../../timestamp.ts';
import { type Comparison, parseFilter } from '../list-filter.ts';

/** Also as JSON spells them, as gcloud and the console do. */
const SECRET_FIELDS = ['name', 'labels.*', 'create_time', 'createTime', 'expire_time', 'expireTime', 'etag', 'replication', 'topics'];
const VERSION_FIELDS = ['name', 'create_time', 'createTime', 'destroy_time', 'destroyTime', 'scheduled_destroy_time', 'scheduledDestroyTime', 'state', 'etag'];

/** `:` asks whether the value has the text in it, `=` whether it is the text; both without regard to case. Times and texts have an order. */
const comparison: Comparison = (operator, wanted) => {
  const text = wanted.toLowerCase();
  if (operator === ':') return wanted === '*' ? () => true : (value) => value.toLowerCase().includes(text);
  const order = (value: string): number => {
    const [a, b] = [Date.parse(value), Date.parse(wanted)];
    if (/^\d{4}-/.test(value) && !Number.isNaN(a) && !Number.isNaN(b)) return a - b;
    return value.toLowerCase() < text ? -1 : value.toLowerCase() === text ? 0 : 1;
  };
  return {
    '=': (value: string) => order(value) === 0,
    '<': (value: string) => order(value) < 0,
    '<=': (value: string) => order(value) <= 0,
    '>': (value: string) => order(value) > 0,
    '>=': (value: string) => order(value) >= 0,
  }[operator];
};

/** @throws INVALID_ARGUMENT */
export function secretFilter(text: string): (secret: Secret, name: string) => boolean {
  const filter = parseFilter(text, SECRET_FIELDS, 'filter', comparison);
  return (secret, name) =>
    filter((field) => {
      if (field.startsWith('labels.')) return secret.labels[field.slice('labels.'.length)];
      switch (field) {
        case 'name':
          return name;
        case 'create_time':
        case 'createTime':
          return timeText(secret.createTime);
        case 'expire_time':
        case 'expireTime':
          return secret.expiration.case === 'expireTime' ? timeText(secret.expiration.value) : undefined;
        case 'etag':
          return secret.etag;
        case 'replication':
          return secret.replication?.replication.case;
        default:
          return secret.topics.length === 0 ? undefined : secret.topics.map((topic) => topic.name).join(' ');
      }
    });
}

/** @throws INVALID_ARGUMENT */
export function versionFilter(text: string): (version: SecretVersion, name: string) => boolean {
  const filter = parseFilter(text, VERSION_FIELDS, 'filter', comparison);
  return (version, name) =>
    filter((field) => {
      switch (field) {
        case 'name':
          return name;
        case 'create_time':
        case 'createTime':
          return timeText(version.createTime);
        case 'destroy_time':
        case 'destroyTime':
          return timeText(version.destroyTime);
        case 'scheduled_destroy_time':
        case 'scheduledDestroyTime':
          return timeText(version.scheduledDestroyTime);
        case 'etag':
          return version.etag;
        default:
          return SecretVersion_State[version.state];
      }
    });
}

function timeText(time: Timestamp | undefined): string | undefined {
  return time === undefined ? undefined : new Date(fromTimestamp(time) / 1000).toISOString();
}
