/** A message as the conditions of custom constraints see it: the fields of its JSON, with whole numbers as such. */
import { type DescField, type DescMessage, isMessage, type MessageShape } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { DurationSchema, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { CelDuration, type CelMap, CelTimestamp, type CelValue } from './cel/value.ts';

/**
 * Numbers, texts, lists and maps that are not set are there with their default, so that conditions need not guard against them; messages that are not
 * set are missing, so `has()` tells. Enums are their names.
 */
export function constraintFields<D extends DescMessage>(desc: D, message: MessageShape<D>): CelMap {
  return fieldsOf(reflect(desc, message));
}

function fieldsOf(message: ReflectMessage): CelMap {
  const entries = message.fields.flatMap((field): [string, CelValue][] => {
    // A field of a oneof, or one that says of itself whether it is set.
    if (!message.isSet(field) && (field.oneof !== undefined || field.fieldKind === 'message')) return [];
    const value = valueOf(field, message.get(field));
    return value === undefined ? [] : [[field.jsonName, value]];
  });
  return Object.fromEntries(entries);
}

function valueOf(field: DescField, value: unknown): CelValue | undefined {
  switch (field.fieldKind) {
    case 'list':
      return isIterable(value) ? [...value].flatMap((one) => single(field.enum, one) ?? []) : [];
    case 'map':
      return isIterable(value) ? Object.fromEntries([...value].flatMap((entry) => (Array.isArray(entry) ? [[String(entry[0]), single(field.enum, entry[1]) ?? null]] : []))) : {};
    default:
      return single(field.enum, value);
  }
}

function single(names: { readonly value: Readonly<Record<number, { readonly name: string }>> } | undefined, value: unknown): CelValue | undefined {
  if (names !== undefined) return names.value[Number(value)]?.name ?? String(value);
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return value;
  return isReflected(value) ? messageValue(value) : undefined;
}

function messageValue(value: ReflectMessage): CelValue {
  const { message } = value;
  if (isMessage(message, TimestampSchema)) return new CelTimestamp(Number(message.seconds), message.nanos);
  if (isMessage(message, DurationSchema)) return new CelDuration(Number(message.seconds), message.nanos);
  return fieldsOf(value);
}

function isReflected(value: unknown): value is ReflectMessage {
  return typeof value === 'object' && value !== null && 'fields' in value && 'message' in value;
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}
