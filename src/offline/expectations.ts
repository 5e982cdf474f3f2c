/** A table of expectations of policies: who may do what where, and who may not. This file reads it and says what is wrong with it. */
import { parseDocument } from 'yaml';
import { z } from 'zod';

/** The message is for people, one line for each fault. */
export class ExpectationError extends Error {
  override readonly name = 'ExpectationError';
}

const oneOrMore = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).transform((given) => (typeof given === 'string' ? [given] : given));
const moment = z
  .union([z.string(), z.date().transform((date) => date.toISOString())])
  .refine((text) => !Number.isNaN(Date.parse(text)), 'must be a moment, for example 2026-05-01T00:00:00Z');
const outcome = z.enum(['allowed', 'denied'], 'must be allowed or denied');

const fields = {
  principal: oneOrMore.optional(),
  permission: oneOrMore.optional(),
  resource: oneOrMore.optional(),
  expect: outcome.optional(),
  /** What conditions see as `request.time`. */
  time: moment.optional(),
  /** In effect on the resource, for conditions; against a seed alone. */
  tags: z.array(z.strictObject({ key: z.string(), value: z.string(), keyId: z.string().optional(), valueId: z.string().optional() })).optional(),
  /** Where something is invoked. */
  request: z.strictObject({ host: z.string(), path: z.string() }).optional(),
  /** Where a policy is to be set: the roles that this grants or revokes. */
  modifiedRoles: z.array(z.string()).optional(),
  /** Further members that name a federated principal. */
  principalSets: z.array(z.string()).optional(),
};
const schema = z.strictObject({
  defaults: z.strictObject(fields).default({}),
  tests: z.array(z.strictObject({ name: z.string().optional(), ...fields })).min(1, 'must hold at least one expectation'),
});

/** One question with the answer that is expected. */
export interface Expectation {
  /** Its place in the file: `tests[3]`. */
  readonly place: string;
  readonly name: string | undefined;
  readonly principal: string;
  readonly permission: string;
  readonly resource: string;
  readonly expect: 'allowed' | 'denied';
  readonly time: string | undefined;
  readonly tags: readonly { readonly key: string; readonly value: string; readonly keyId?: string | undefined; readonly valueId?: string | undefined }[] | undefined;
  readonly request: { readonly host: string; readonly path: string } | undefined;
  readonly modifiedRoles: readonly string[] | undefined;
  readonly principalSets: readonly string[] | undefined;
}

/** @param text YAML or JSON @param file for messages @throws ExpectationError */
export function parseExpectations(text: string, file: string): readonly Expectation[] {
  const document = parseDocument(text);
  const [broken] = document.errors;
  if (broken !== undefined) throw new ExpectationError(`${file} is not valid YAML: ${broken.message}`);
  const result = schema.safeParse(document.toJS() ?? {});
  if (!result.success) throw new ExpectationError(result.error.issues.map((issue) => `${file}: ${describe(issue)}`).join('\n'));
  const { defaults, tests } = result.data;
  const missing: string[] = [];
  const expectations = tests.flatMap((test, at) => {
    const place = `tests[${at}]`;
    const row = { ...defaults, ...Object.fromEntries(Object.entries(test).filter(([, value]) => value !== undefined)) } as typeof test;
    const { principal, permission, resource, expect } = row;
    if (principal === undefined || permission === undefined || resource === undefined || expect === undefined) {
      for (const field of ['principal', 'permission', 'resource', 'expect'] as const)
        if (row[field] === undefined) missing.push(`${file}: ${place}.${field} is missing. Add it, there or under defaults.`);
      return [];
    }
    const { name, time, tags, request, modifiedRoles, principalSets } = row;
    const shared = { place, name, expect, time, tags, request, modifiedRoles, principalSets };
    return principal.flatMap((who) => permission.flatMap((what) => resource.map((where): Expectation => ({ ...shared, principal: who, permission: what, resource: where }))));
  });
  if (missing.length > 0) throw new ExpectationError(missing.join('\n'));
  return expectations;
}

function describe(issue: z.core.$ZodIssue): string {
  const place = issue.path.length === 0 ? 'the file' : issue.path.map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${String(step)}`)).join('');
  if (issue.code === 'unrecognized_keys') return `${place} has ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}, which is not known here. Remove or correct it.`;
  return `${place}: ${issue.message}.`;
}
