/** What a token's claims make of its bearer here: the mapping of a provider, then its condition. */
import { oauthError } from '../../errors.ts';
import type { WorkloadIdentityPoolProvider } from '../../gen/google/iam/v1/workload_identity_pools_pb.js';
import { CelIssue } from '../../policy/cel/checker.ts';
import { CelFailure, type CelMap, type CelValue } from '../../policy/cel/value.ts';
import { type AssertionContext, compileAttributeCondition, compileMapping } from '../../policy/dialects.ts';

export interface MappedIdentity {
  readonly subject: string;
  /** The ends of principal sets: `group/G`, `attribute.NAME/VALUE`. */
  readonly sets: readonly string[];
}

const MAX_SUBJECT_BYTES = 127;
/** Of all mapped attributes. Source: discovery document of IAM v1, `attributeMapping`. */
const MAX_BYTES = 8192;
const MAX_GROUPS = 400;
/** Of claims within claims; protects the stack. */
const MAX_DEPTH = 50;

/** @throws `invalid_grant` where the mapping makes nothing of the token, `unauthorized_client` where the condition is not true */
export function mapAssertion(claims: Readonly<Record<string, unknown>>, provider: Pick<WorkloadIdentityPoolProvider, 'attributeMapping' | 'attributeCondition'>): MappedIdentity {
  const assertion = toCelMap(claims);
  const google: Record<string, CelValue> = {};
  const attribute: Record<string, CelValue> = {};
  let bytes = 0;
  for (const [key, expression] of Object.entries(provider.attributeMapping)) {
    const value = evaluate(key, expression, { assertion });
    // An attribute that a token does not have is left out; the subject must be there.
    if (value === undefined) continue;
    bytes += Buffer.byteLength(JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? String(each) : each)));
    if (bytes > MAX_BYTES) throw oauthError('invalid_grant', `The mapped attributes exceed the maximum of ${MAX_BYTES} bytes.`);
    const [space, name = ''] = key.split('.');
    (space === 'google' ? google : attribute)[name] = value;
  }
  const { subject } = google;
  if (typeof subject !== 'string' || subject === '')
    throw oauthError('invalid_grant', "The mapped attribute 'google.subject' must be a string that is not empty, but the token gives none.");
  if (Buffer.byteLength(subject) > MAX_SUBJECT_BYTES)
    throw oauthError('invalid_grant', `The size of mapped attribute google.subject exceeds the ${MAX_SUBJECT_BYTES} bytes limit.`);
  if (!holds(provider.attributeCondition, { assertion, google, attribute }))
    throw oauthError('unauthorized_client', 'The given credential is rejected by the attribute condition.');
  const groups = Array.isArray(google['groups']) ? google['groups'].slice(0, MAX_GROUPS) : [];
  return {
    subject,
    sets: [
      ...groups.flatMap((group) => (typeof group === 'string' && group !== '' ? [`group/${group}`] : [])),
      ...Object.entries(attribute).flatMap(([name, value]) => (typeof value === 'string' && value !== '' ? [`attribute.${name}/${value}`] : [])),
    ],
  };
}

function evaluate(key: string, expression: string, context: AssertionContext): CelValue | undefined {
  const program = compileMapping(key, expression);
  // It was checked when the provider was made.
  if (program instanceof CelIssue) throw oauthError('invalid_grant', `The mapping of ${key} is not an expression: ${program.message}.`);
  const value = program.evaluate(context);
  if (!(value instanceof CelFailure)) return value;
  if (key === 'google.subject') throw oauthError('invalid_grant', `Unable to map google.subject from the token: ${value.message}.`);
  return undefined;
}

/** Only true lets in. */
function holds(expression: string, context: AssertionContext): boolean {
  if (expression === '') return true;
  const program = compileAttributeCondition(expression);
  return !(program instanceof CelIssue) && program.evaluate(context) === true;
}

/** Numbers of JSON are doubles, whole ones integers, as a token's times are compared. */
function toCelMap(claims: Readonly<Record<string, unknown>>): CelMap {
  return Object.fromEntries(Object.entries(claims).map(([key, value]) => [key, toCel(value)]));
}

function toCel(value: unknown, depth = 0): CelValue {
  if (depth > MAX_DEPTH) throw oauthError('invalid_grant', `The claims of the token are nested more than ${MAX_DEPTH} deep.`);
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((each) => toCel(each, depth + 1));
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toCel(each, depth + 1)]));
  return null;
}
