/**
 * What a plan of Terraform leaves open because the same apply makes it, though it follows from names that the plan has: a new account's address, a new role's
 * full name. The configuration in a plan says what an expression refers to, and not the rest of it; so only what can be meant in one way is filled in.
 */
import { z } from 'zod';

const values = z.record(z.string(), z.unknown());
export const changeSchema = z.looseObject({
  address: z.string(),
  mode: z.string().optional(),
  type: z.string(),
  change: z.looseObject({ before: values.nullish(), after: values.nullish(), after_unknown: z.unknown().optional() }),
});
type Change = z.infer<typeof changeSchema>;

export interface Module {
  readonly resources?: readonly { readonly address: string; readonly expressions?: Readonly<Record<string, unknown>> | undefined }[] | undefined;
  readonly module_calls?: Readonly<Record<string, { readonly module?: Module | undefined }>> | undefined;
}
const moduleSchema: z.ZodType<Module> = z.lazy(() =>
  z.looseObject({
    resources: z.array(z.looseObject({ address: z.string(), expressions: values.optional() })).optional(),
    module_calls: z.record(z.string(), z.looseObject({ module: moduleSchema.optional() })).optional(),
  }),
);
export const configurationSchema = z.looseObject({
  provider_config: z.record(z.string(), z.looseObject({ expressions: values.optional() })).optional(),
  root_module: moduleSchema.optional(),
});
type Configuration = z.infer<typeof configurationSchema>;

type Made = Readonly<Record<string, unknown>>;
interface Target {
  readonly type: string;
  /** Attributes by which it is named. */
  readonly attributes: readonly string[];
  /** @param own the project of the provider's block */
  nameOf(made: Made, own: string | undefined): string | undefined;
}
const ROLE = ['name', 'id'];
/** Fields of IAM resources that name another resource, and what they can name. */
const FIELDS: Readonly<Record<string, readonly Target[]>> = {
  service_account_id: [
    {
      type: 'google_service_account',
      attributes: ['name', 'id'],
      nameOf: (made, own) => accountName(made, own, (project, email) => `projects/${project}/serviceAccounts/${email}`),
    },
  ],
  // A member of that kind has no other form, however its text was put together.
  member: [{ type: 'google_service_account', attributes: ['member', 'email'], nameOf: (made, own) => accountName(made, own, (_project, email) => `serviceAccount:${email}`) }],
  role: [
    { type: 'google_project_iam_custom_role', attributes: ROLE, nameOf: (made, own) => roleName('projects', textOf(made, 'project') ?? own, made) },
    { type: 'google_organization_iam_custom_role', attributes: ROLE, nameOf: (made) => roleName('organizations', textOf(made, 'org_id'), made) },
  ],
};

function textOf(made: Made, key: string): string | undefined {
  const value = made[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function accountName(made: Made, own: string | undefined, named: (project: string, email: string) => string): string | undefined {
  const [project, account] = [textOf(made, 'project') ?? own, textOf(made, 'account_id')];
  return project === undefined || account === undefined ? undefined : named(project, `${account}@${project}.iam.gserviceaccount.com`);
}

function roleName(kind: string, holder: string | undefined, made: Made): string | undefined {
  const role = textOf(made, 'role_id');
  return holder === undefined || role === undefined ? undefined : `${kind}/${holder}/roles/${role}`;
}

/** @returns the changes, with what follows from others of them as if it were known */
export function followReferences(changes: readonly Change[], configuration: Configuration | undefined): readonly Change[] {
  if (configuration === undefined) return changes;
  const expressions = expressionsOf(configuration.root_module, '');
  const after = new Map(changes.map(({ address, change }) => [address, change.after ?? undefined]));
  const ownProject = constantOf(configuration.provider_config?.['google']?.expressions?.['project']);
  return changes.map((change) => {
    const { after: held, after_unknown: unknown } = change.change;
    const parsed = values.safeParse(unknown);
    if (!parsed.success || held === undefined || held === null) return change;
    const found = Object.entries(FIELDS).flatMap(([field, targets]) =>
      targets.flatMap((target) => {
        const resource = parsed.data[field] === true ? referenceOf(expressions.get(change.address)?.[field], target) : undefined;
        const made = resource === undefined ? undefined : after.get(`${moduleOf(change.address)}${resource}`);
        const value = made === undefined ? undefined : target.nameOf(made, ownProject);
        return value === undefined ? [] : [[field, value] as const];
      }),
    );
    if (found.length === 0) return change;
    const known = new Set<string>(found.map(([field]) => field));
    const left = Object.fromEntries(Object.entries(parsed.data).filter(([field]) => !known.has(field)));
    return { ...change, change: { ...change.change, after: { ...held, ...Object.fromEntries(found) }, after_unknown: left } };
  });
}

/** By address; an instance of many (`x.y["a"]`) has none here, for its expressions may hang on which one it is. */
function expressionsOf(module: Module | undefined, prefix: string): Map<string, Readonly<Record<string, unknown>>> {
  const found = new Map((module?.resources ?? []).map(({ address, expressions = {} }) => [`${prefix}${address}`, expressions]));
  for (const [name, call] of Object.entries(module?.module_calls ?? {}))
    for (const [address, expressions] of expressionsOf(call.module, `${prefix}module.${name}.`)) found.set(address, expressions);
  return found;
}

function moduleOf(address: string): string {
  return /^(?:module\.[^.]+\.)*/.exec(address)?.[0] ?? '';
}

/** The one resource that an expression refers to, where it refers to nothing else. */
function referenceOf(expression: unknown, { type, attributes }: Target): string | undefined {
  const { data } = z.looseObject({ references: z.array(z.string()) }).safeParse(expression);
  const [first, second, ...more] = data?.references ?? [];
  const cut = first?.lastIndexOf('.') ?? -1;
  const resource = first?.slice(0, cut);
  const isOne = resource !== undefined && resource.startsWith(`${type}.`) && !resource.includes('[') && (second === undefined || second === resource) && more.length === 0;
  return isOne && attributes.includes(first?.slice(cut + 1) ?? '') ? resource : undefined;
}

function constantOf(expression: unknown): string | undefined {
  return z.looseObject({ constant_value: z.string() }).safeParse(expression).data?.constant_value;
}
