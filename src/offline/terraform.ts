/** What `terraform show -json` prints of a plan or a state, as policies: IAM members, bindings and policies, custom roles, accounts, projects and folders. */
import { z } from 'zod';
import { emptyState, type PolicyState, type StateBinding, stateResource } from './state.ts';
import { changeSchema, configurationSchema, followReferences } from './terraform-references.ts';

const values = z.record(z.string(), z.unknown());
type Values = z.infer<typeof values>;
export const planSchema = z.looseObject({ resource_changes: z.array(changeSchema), configuration: configurationSchema.optional() });
export type Plan = z.infer<typeof planSchema>;

interface Module {
  readonly resources?: readonly { readonly mode?: string | undefined; readonly address: string; readonly type: string; readonly values?: Values | null | undefined }[] | undefined;
  readonly child_modules?: readonly Module[] | undefined;
}
const moduleSchema: z.ZodType<Module> = z.lazy(() =>
  z.looseObject({
    resources: z.array(z.looseObject({ mode: z.string().optional(), address: z.string(), type: z.string(), values: values.nullish() })).optional(),
    child_modules: z.array(moduleSchema).optional(),
  }),
);
export const stateSchema = z.looseObject({ values: z.looseObject({ root_module: moduleSchema }) });

/** One Terraform resource at one time. */
interface Item {
  readonly address: string;
  readonly type: string;
  readonly values: Values;
}

/** @param notes collects what could not be read, one sentence each */
export function stateOfTerraform(document: z.infer<typeof stateSchema>, notes: string[]): PolicyState {
  const items: Item[] = [];
  const collect = ({ resources = [], child_modules: children = [] }: Module): void => {
    for (const { mode, address, type, values: held } of resources) if (mode !== 'data') items.push({ address, type, values: held ?? {} });
    children.forEach(collect);
  };
  collect(document.values.root_module);
  return build(emptyState(), items, notes);
}

/** A plan's two states. @param base what it is applied to; without it what the plan itself knows of before */
export function statesOfPlan(plan: Plan, base: PolicyState | undefined, notes: string[]): { readonly before: PolicyState; readonly after: PolicyState } {
  const managed = followReferences(
    plan.resource_changes.filter(({ mode }) => mode !== 'data'),
    plan.configuration,
  );
  const at = (moment: 'before' | 'after'): Item[] =>
    managed.flatMap(({ address, type, change: changed }) => {
      const held = changed[moment];
      return held === undefined || held === null ? [] : [{ address, type, values: held }];
    });
  for (const { address, type, change: changed } of managed) noteUnknown(address, type, changed.after_unknown, notes);
  const before = base ?? build(emptyState(), at('before'), []);
  const start = base === undefined ? emptyState() : without(base, at('before'));
  return { before, after: build(start, at('after'), notes) };
}

function noteUnknown(address: string, type: string, unknown: unknown, notes: string[]): void {
  if (!IAM.test(type) || typeof unknown !== 'object' || unknown === null) return;
  const fields = Object.entries(unknown).filter(([field, is]) => field !== 'etag' && field !== 'id' && JSON.stringify(is).includes('true'));
  if (fields.length > 0) notes.push(`${address}: ${fields.map(([field]) => field).join(', ')} will be known when it is applied, and is left out.`);
}

const IAM = /^google_(?<of>.+)_iam_(?<form>member|binding|policy)$/;

function text(held: Values, field: string): string | undefined {
  const value = held[field];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The full name of what an IAM resource is about; undefined where it is not known. */
function targetOf(of: string, held: Values): string | undefined {
  const project = text(held, 'project');
  const below = (field: string, kind: string): string | undefined => {
    const name = text(held, field);
    if (name?.startsWith('projects/')) return name;
    return name === undefined || project === undefined ? undefined : `projects/${project.replace(/^projects\//, '')}/${kind}${name}`;
  };
  const location = text(held, 'location');
  const hosted = (host: string, name: string | undefined): string | undefined => (name === undefined ? undefined : `//${host}.googleapis.com/${name}`);
  switch (of) {
    case 'project':
      return project === undefined ? undefined : `projects/${project.replace(/^projects\//, '')}`;
    case 'folder':
      return text(held, 'folder')?.replace(/^(?:folders\/)?/, 'folders/');
    case 'organization':
      return text(held, 'org_id')?.replace(/^(?:organizations\/)?/, 'organizations/');
    case 'service_account':
      return text(held, 'service_account_id');
    case 'cloud_run_v2_job':
      return hosted('run', below('name', `locations/${location ?? '-'}/jobs/`));
    case 'secret_manager_secret':
      return hosted('secretmanager', below('secret_id', 'secrets/'));
    case 'artifact_registry_repository':
      return hosted('artifactregistry', below('repository', `locations/${location ?? '-'}/repositories/`));
    case 'pubsub_topic':
      return hosted('pubsub', below('topic', 'topics/'));
    case 'pubsub_subscription':
      return hosted('pubsub', below('subscription', 'subscriptions/'));
    default:
      return undefined;
  }
}

const condition = z.looseObject({ title: z.string().default(''), description: z.string().nullish(), expression: z.string() });
const policyData = z.looseObject({ bindings: z.array(z.looseObject({ role: z.string(), members: z.array(z.string()).default([]), condition: condition.optional() })).default([]) });

/** The bindings that one IAM resource stands for. @throws ZodError, SyntaxError for a policy that is none */
function bindingsOf(form: string, held: Values): StateBinding[] {
  if (form === 'policy') {
    const data = text(held, 'policy_data');
    return data === undefined ? [] : policyData.parse(JSON.parse(data)).bindings.map((binding) => toBinding(binding.role, binding.members, binding.condition));
  }
  const role = text(held, 'role');
  const members = form === 'member' ? [held['member']] : Array.isArray(held['members']) ? held['members'] : [];
  const [under] = z.array(condition).nullish().parse(held['condition']) ?? [];
  const known = members.filter((member): member is string => typeof member === 'string');
  return role === undefined || known.length === 0 ? [] : [toBinding(role, known, under)];
}

function toBinding(role: string, members: readonly string[], under: z.infer<typeof condition> | undefined): StateBinding {
  return { role, members, ...(under === undefined ? {} : { condition: { title: under.title, description: under.description ?? undefined, expression: under.expression } }) };
}

function isSame(a: StateBinding, b: StateBinding): boolean {
  return a.role === b.role && (a.condition?.expression ?? '') === (b.condition?.expression ?? '');
}

/** Adds what Terraform holds to a state. A `_policy` stands for the whole policy, a `_binding` for everybody who has its role under its condition. */
function build(state: PolicyState, items: readonly Item[], notes: string[]): PolicyState {
  for (const item of items) addContainer(state, item);
  const iam = items.flatMap((item) => {
    const { of = '', form = '' } = IAM.exec(item.type)?.groups ?? {};
    return form === '' ? [] : [{ ...item, of, form }];
  });
  for (const wanted of ['policy', 'binding', 'member'])
    for (const { address, of, form, values: held } of iam) {
      if (form !== wanted) continue;
      const target = targetOf(of, held);
      const resource = target === undefined ? undefined : stateResource(state, target);
      if (resource === undefined) {
        // Once is enough: a plan that does not know it yet has been said so.
        if (!notes.some((note) => note.startsWith(`${address}: `))) notes.push(`${address}: what it is about is not known here, and it is left out.`);
        continue;
      }
      const bindings = bindingsOf(form, held);
      const there = state.policies.get(resource) ?? [];
      const kept = form === 'policy' ? [] : form === 'binding' ? there.filter((one) => !bindings.some((binding) => isSame(one, binding))) : there;
      state.policies.set(resource, [...kept, ...bindings]);
    }
  return state;
}

function addContainer(state: PolicyState, { type, values: held }: Item): void {
  const project = text(held, 'project');
  if (type === 'google_service_account' && project !== undefined) {
    const email = text(held, 'email') ?? `${text(held, 'account_id') ?? ''}@${project}.iam.gserviceaccount.com`;
    state.accounts.add(`//iam.googleapis.com/projects/${project}/serviceAccounts/${email}`);
  }
  const roleId = text(held, 'role_id');
  const holder =
    type === 'google_project_iam_custom_role'
      ? `projects/${project ?? ''}`
      : type === 'google_organization_iam_custom_role'
        ? `organizations/${text(held, 'org_id') ?? ''}`
        : undefined;
  if (holder !== undefined && roleId !== undefined) {
    const permissions = Array.isArray(held['permissions']) ? held['permissions'].filter((one): one is string => typeof one === 'string') : [];
    state.roles.set(`${holder}/roles/${roleId}`, { permissions, active: text(held, 'stage') !== 'DISABLED' && held['deleted'] !== true });
  }
  const projectId = text(held, 'project_id');
  if (type === 'google_project' && projectId !== undefined) {
    const folder = text(held, 'folder_id');
    const organization = text(held, 'org_id');
    const parent = folder !== undefined ? `folders/${folder.replace(/^folders\//, '')}` : organization === undefined ? null : `organizations/${organization}`;
    state.projects.set(projectId, { number: text(held, 'number') ?? '', parent });
  }
  const [number, parent] = [text(held, 'folder_id'), text(held, 'parent')];
  if (type === 'google_folder' && number !== undefined && parent !== undefined) state.folders.set(number, { parent });
}

/** A copy of a state without what Terraform held in it: what is destroyed or changed is taken away, what others bound stays. */
function without(base: PolicyState, items: readonly Item[]): PolicyState {
  const state: PolicyState = {
    projects: new Map(base.projects),
    folders: new Map(base.folders),
    policies: new Map(base.policies),
    groups: new Map(base.groups),
    roles: new Map(base.roles),
    accounts: new Set(base.accounts),
  };
  for (const { type, values: held } of items) {
    const { of, form } = IAM.exec(type)?.groups ?? {};
    const target = of === undefined ? undefined : targetOf(of, held);
    const resource = target === undefined ? undefined : stateResource(state, target);
    if (form === undefined || resource === undefined) continue;
    const gone = bindingsOf(form, held);
    const left = (state.policies.get(resource) ?? []).map((one) => ({
      ...one,
      members: one.members.filter((member) => !gone.some((binding) => isSame(one, binding) && binding.members.includes(member))),
    }));
    state.policies.set(
      resource,
      left.filter(({ members }) => members.length > 0),
    );
  }
  return state;
}
