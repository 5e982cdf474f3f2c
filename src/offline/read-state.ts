/**
 * States from files, told apart by what is in them: a seed, what `get-iam-policy` prints, an export of many policies (`gcloud asset search-all-iam-policies`,
 * an export of Cloud Asset Inventory), and what `terraform show -json` prints of a plan or a state.
 */
import { parse } from 'yaml';
import { z } from 'zod';
import { parseSeed, SeedError } from '../seed/seed.ts';
import { exported, policy, stateOfExport } from './export-state.ts';
import { StateError, stateOfSeed } from './seed-state.ts';
import { emptyState, type PolicyState } from './state.ts';
import { type Plan, planSchema, stateOfTerraform, stateSchema, statesOfPlan } from './terraform.ts';

/** What a file holds. */
export type Document =
  | { readonly kind: 'state'; readonly state: PolicyState }
  | { readonly kind: 'policy'; readonly at: (resource: string) => PolicyState }
  | { readonly kind: 'plan'; readonly plan: Plan };

/** @param file for messages @throws StateError */
export function readSeedState(text: string, file: string): PolicyState {
  try {
    return stateOfSeed(parseSeed(text, file));
  } catch (error) {
    if (error instanceof SeedError) throw new StateError(error.message, { cause: error });
    throw error;
  }
}

/** @param notes collects what could not be read, one sentence each @throws StateError where the file is none of them */
export function readDocument(text: string, file: string, notes: string[]): Document {
  const value = parseText(text, file);
  // An export of one asset is one object.
  const entries = typeof value === 'object' && value !== null && ('assetType' in value || 'asset_type' in value) ? [value] : value;
  if (Array.isArray(entries)) return { kind: 'state', state: stateOfExport(check(z.array(exported), entries, file), file, notes) };
  if (typeof value !== 'object' || value === null) throw new StateError(`${file} holds no policies: write a seed, or what get-iam-policy or terraform show -json print.`);
  if ('resource_changes' in value) return { kind: 'plan', plan: check(planSchema, value, file) };
  if ('values' in value && 'terraform_version' in value) return { kind: 'state', state: stateOfTerraform(check(stateSchema, value, file), notes) };
  if ('bindings' in value || ('etag' in value && Object.keys(value).every((key) => key === 'etag' || key === 'version' || key === 'auditConfigs'))) {
    const { bindings } = check(policy, value, file);
    return {
      kind: 'policy',
      at(resource) {
        const state = emptyState();
        state.policies.set(resource, bindings);
        return state;
      },
    };
  }
  return { kind: 'state', state: readSeedState(text, file) };
}

/** Two documents as the states before and after. @param resource what a bare policy is of; undefined where nobody said */
export function statesOf(
  before: Document,
  after: Document | undefined,
  resource: string | undefined,
  notes: string[],
): { readonly before: PolicyState; readonly after: PolicyState } {
  if (after === undefined) {
    if (before.kind !== 'plan') throw new StateError('One file says what is before and after only where it is a plan of Terraform (terraform show -json PLAN). Name two files.');
    return statesOfPlan(before.plan, undefined, notes);
  }
  const arePolicies = before.kind === 'policy' && after.kind === 'policy';
  const alone = (document: Document): PolicyState => {
    if (document.kind === 'state') return document.state;
    if (document.kind === 'plan') return statesOfPlan(document.plan, undefined, notes).after;
    if (resource === undefined && !arePolicies) throw new StateError('A file that get-iam-policy printed does not say what it is the policy of. Add --resource=projects/PROJECT.');
    return document.at(resource ?? UNNAMED);
  };
  const first = alone(before);
  return after.kind === 'plan' ? statesOfPlan(after.plan, first, notes) : { before: first, after: alone(after) };
}

/** What two policies are of where nobody said. */
const UNNAMED = '//cloudresourcemanager.googleapis.com/projects/unnamed';

/** YAML, JSON, or JSON documents one to a line. */
function parseText(text: string, file: string): unknown {
  try {
    // JSON first: a plan has megabytes, and YAML is slow.
    return JSON.parse(text);
  } catch {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    try {
      if (lines.length > 1 && lines.every((line) => line.startsWith('{'))) return lines.map((line): unknown => JSON.parse(line));
      return parse(text);
    } catch (error) {
      throw new StateError(`${file} is neither YAML nor JSON: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

function check<S extends z.ZodType>(schema: S, value: unknown, file: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new StateError(`${file}: ${issue?.path.map(String).join('.') ?? 'the file'}: ${issue?.message ?? 'is malformed'}.`);
}
