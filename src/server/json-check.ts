/**
 * Checks a JSON body against the message that it should become, before protobuf-es reads it, so that the error names the
 * field, the value and the kind that was expected, in Google's words. protobuf-es stops at the first fault and words it its own way.
 */
import type { DescEnum, DescField, DescMessage } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import { type ApiError, invalidRequest } from '../errors.ts';

/** Deeper JSON than any message of ours; protects the stack. */
const MAX_DEPTH = 100;
const MAX_VIOLATIONS = 20;

interface Violation {
  readonly field: string;
  readonly description: string;
}

/** @param at path of the message within the request, in proto names; empty at the top @throws INVALID_ARGUMENT with one violation per fault */
export function checkJson(desc: DescMessage, json: unknown, at = ''): void {
  const violations: Violation[] = [];
  checkMessage(desc, json, at, violations, 0);
  if (violations.length > 0) throw asError(violations);
}

function asError(violations: readonly Violation[]): ApiError {
  return invalidRequest(violations.map((v) => v.description).join('\n'), violations);
}

function checkMessage(desc: DescMessage, json: unknown, at: string, out: Violation[], depth: number): void {
  if (out.length >= MAX_VIOLATIONS) return;
  if (depth > MAX_DEPTH) return void out.push({ field: at, description: `Invalid JSON payload received. The message is nested more than ${MAX_DEPTH} deep.` });
  if (wellKnown(desc, json, at, out)) return;
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return void out.push(invalid(at, `type.googleapis.com/${desc.typeName}`, json));
  const seen = new Map<DescField, string>();
  const oneofs = new Map<string, string>();
  for (const [key, value] of Object.entries(json)) {
    if (out.length >= MAX_VIOLATIONS) return;
    const field = desc.fields.find((f) => f.jsonName === key || f.name === key);
    if (field === undefined) {
      out.push({ field: at, description: `Invalid JSON payload received. Unknown name "${shorten(key)}"${at === '' ? '' : ` at '${at}'`}: Cannot find field.` });
      continue;
    }
    const path = at === '' ? field.name : `${at}.${field.name}`;
    if (seen.has(field)) out.push({ field: path, description: `Invalid JSON payload received. Duplicate name "${key}": the field was already set as "${seen.get(field)}".` });
    seen.set(field, key);
    if (field.oneof !== undefined && value !== null) {
      const other = oneofs.get(field.oneof.name);
      if (other !== undefined)
        out.push({ field: path, description: `Invalid value at '${at}' (oneof), oneof field '${field.oneof.name}' is already set. Cannot set '${field.jsonName}'.` });
      oneofs.set(field.oneof.name, key);
    }
    if (value !== null) checkField(field, value, path, out, depth);
  }
}

function checkField(field: DescField, value: unknown, path: string, out: Violation[], depth: number): void {
  switch (field.fieldKind) {
    case 'scalar':
      return checkScalar(field.scalar, value, path, out);
    case 'enum':
      return checkEnum(field.enum, value, path, out);
    case 'message':
      return checkMessage(field.message, value, path, out, depth + 1);
    case 'list':
      if (!Array.isArray(value)) return void out.push(invalid(path, field.listKind === 'message' ? `type.googleapis.com/${field.message.typeName}` : 'repeated', value));
      for (const [index, item] of value.entries()) {
        if (out.length >= MAX_VIOLATIONS) return;
        const at = `${path}[${index}]`;
        if (item === null) out.push(invalid(at, 'an element of a list', item));
        else if (field.listKind === 'scalar') checkScalar(field.scalar, item, at, out);
        else if (field.listKind === 'enum') checkEnum(field.enum, item, at, out);
        else checkMessage(field.message, item, at, out, depth + 1);
      }
      return;
    case 'map':
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return void out.push(invalid(path, 'map', value));
      for (const [key, item] of Object.entries(value)) {
        if (out.length >= MAX_VIOLATIONS) return;
        const at = `${path}[${JSON.stringify(shorten(key))}]`;
        if (item === null) out.push(invalid(at, 'a value of a map', item));
        else if (field.mapKind === 'scalar') checkScalar(field.scalar, item, at, out);
        else if (field.mapKind === 'enum') checkEnum(field.enum, item, at, out);
        else checkMessage(field.message, item, at, out, depth + 1);
      }
  }
}

const INTEGERS: Partial<Record<ScalarType, { name: string; least: bigint; most: bigint }>> = {
  [ScalarType.INT32]: { name: 'TYPE_INT32', least: -(2n ** 31n), most: 2n ** 31n - 1n },
  [ScalarType.SINT32]: { name: 'TYPE_SINT32', least: -(2n ** 31n), most: 2n ** 31n - 1n },
  [ScalarType.SFIXED32]: { name: 'TYPE_SFIXED32', least: -(2n ** 31n), most: 2n ** 31n - 1n },
  [ScalarType.UINT32]: { name: 'TYPE_UINT32', least: 0n, most: 2n ** 32n - 1n },
  [ScalarType.FIXED32]: { name: 'TYPE_FIXED32', least: 0n, most: 2n ** 32n - 1n },
  [ScalarType.INT64]: { name: 'TYPE_INT64', least: -(2n ** 63n), most: 2n ** 63n - 1n },
  [ScalarType.SINT64]: { name: 'TYPE_SINT64', least: -(2n ** 63n), most: 2n ** 63n - 1n },
  [ScalarType.SFIXED64]: { name: 'TYPE_SFIXED64', least: -(2n ** 63n), most: 2n ** 63n - 1n },
  [ScalarType.UINT64]: { name: 'TYPE_UINT64', least: 0n, most: 2n ** 64n - 1n },
  [ScalarType.FIXED64]: { name: 'TYPE_FIXED64', least: 0n, most: 2n ** 64n - 1n },
};

function checkScalar(type: ScalarType, value: unknown, path: string, out: Violation[]): void {
  const integer = INTEGERS[type];
  if (integer !== undefined) {
    const whole =
      typeof value === 'number' && Number.isInteger(value) && Number.isSafeInteger(value)
        ? BigInt(value)
        : typeof value === 'string' && /^-?\d{1,20}$/.test(value)
          ? BigInt(value)
          : undefined;
    if (whole === undefined || whole < integer.least || whole > integer.most) out.push(invalid(path, integer.name, value));
    return;
  }
  switch (type) {
    case ScalarType.BOOL:
      if (typeof value !== 'boolean') out.push(invalid(path, 'TYPE_BOOL', value));
      return;
    case ScalarType.STRING:
      if (typeof value !== 'string' || !value.isWellFormed()) out.push(invalid(path, 'TYPE_STRING', value));
      return;
    case ScalarType.BYTES:
      if (typeof value !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) out.push(invalid(path, 'TYPE_BYTES', value));
      return;
    default: {
      const number =
        typeof value === 'number' ||
        value === 'NaN' ||
        value === 'Infinity' ||
        value === '-Infinity' ||
        (typeof value === 'string' && value.trim() === value && value !== '' && Number.isFinite(Number(value)));
      if (!number || (type === ScalarType.FLOAT && typeof value === 'number' && Math.abs(value) > 3.4028234663852886e38))
        out.push(invalid(path, type === ScalarType.FLOAT ? 'TYPE_FLOAT' : 'TYPE_DOUBLE', value));
    }
  }
}

function checkEnum(desc: DescEnum, value: unknown, path: string, out: Violation[]): void {
  const known = typeof value === 'string' ? desc.values.some((v) => v.name === value) : typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 31;
  if (!known) out.push(invalid(path, `type.googleapis.com/${desc.typeName}`, value));
}

const DURATION = /^-?\d{1,12}(?:\.\d{1,9})?s$/;
const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** @returns whether this message has a JSON form of its own, and was checked here */
function wellKnown(desc: DescMessage, json: unknown, at: string, out: Violation[]): boolean {
  switch (desc.typeName) {
    case 'google.protobuf.Duration':
      if (typeof json !== 'string' || !DURATION.test(json) || Math.abs(Number.parseFloat(json)) > 315_576_000_000)
        out.push(wrongText(at, desc, json, 'Illegal duration format; duration must end with "s"'));
      return true;
    case 'google.protobuf.Timestamp':
      if (typeof json !== 'string' || !TIMESTAMP.test(json) || Number.isNaN(Date.parse(json)) || json.startsWith('0000'))
        out.push(wrongText(at, desc, json, 'Illegal timestamp format; timestamps are RFC 3339 and end with Z or an offset'));
      return true;
    case 'google.protobuf.FieldMask':
      if (typeof json !== 'string' || !/^[A-Za-z0-9_.,*`\-[\]"]*$/.test(json)) out.push(wrongText(at, desc, json, 'Invalid field mask: a comma-separated list of paths'));
      return true;
    case 'google.protobuf.Any':
    case 'google.protobuf.Struct':
      if (typeof json !== 'object' || json === null || Array.isArray(json)) out.push(invalid(at, `type.googleapis.com/${desc.typeName}`, json));
      return true;
    case 'google.protobuf.Value':
      return true;
    case 'google.protobuf.ListValue':
      if (!Array.isArray(json)) out.push(invalid(at, `type.googleapis.com/${desc.typeName}`, json));
      return true;
    default: {
      if (!/^google\.protobuf\.(?:\w+)Value$/.test(desc.typeName)) return false;
      const field = desc.fields[0];
      if (field?.fieldKind === 'scalar') checkScalar(field.scalar, json, at, out);
      return true;
    }
  }
}

function invalid(path: string, kind: string, value: unknown): Violation {
  return { field: path, description: `Invalid value at '${path}' (${kind}), ${show(value)}` };
}
function wrongText(path: string, desc: DescMessage, value: unknown, why: string): Violation {
  return { field: path, description: `Invalid value at '${path}' (type.googleapis.com/${desc.typeName}), Field '${path}', ${why}: ${show(value)}` };
}
function show(value: unknown): string {
  return shorten(JSON.stringify(value) ?? String(value));
}
function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
