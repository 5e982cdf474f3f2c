/**
 * The seed: a YAML file that declares what a data directory holds from the start. This file reads it and says what is wrong with it;
 * apply.ts makes it so. Every message names the place in the file, the value that stands there, and what to write instead.
 * Must not know: the store, or what exists already.
 */
import { parseDocument } from 'yaml';
import { z } from 'zod';

/** Something in the seed that its author has to mend. The message is for people, one line for each fault. */
export class SeedError extends Error {
  override readonly name = 'SeedError';
}

/** YAML reads 111111111111 as a number; both forms are taken. */
const digits = (least: number, most: number) =>
  z
    .union([z.string(), z.number().int().nonnegative().transform(String)])
    .pipe(z.string().regex(new RegExp(`^[1-9]\\d{${least - 1},${most - 1}}$`), `must be a number of ${least} to ${most} digits`));
const text = (most: number) => z.string().min(1, 'must not be empty').max(most, `must have at most ${most} characters`);
const parent = z.string().regex(/^(?:folders|organizations)\/[1-9]\d*$/, 'must be organizations/NUMBER or folders/NUMBER');
const projectId = z.string().regex(/^[a-z][a-z0-9-]{1,28}[a-z0-9]$/, 'must have 3 to 30 lowercase letters, digits and hyphens, begin with a letter and not end with a hyphen');
const label = z.string().regex(/^[a-z0-9_-]{0,63}$/, 'must have at most 63 lowercase letters, digits, hyphens and underscores');

const binding = z.strictObject({
  role: z.string().regex(/^(?:roles|projects\/[^/]+\/roles|organizations\/[^/]+\/roles)\/[A-Za-z0-9_.]+$/, 'must be a role, for example roles/run.developer'),
  members: z.array(z.string()).min(1, 'must name at least one member, for example user:dev@example.com'),
  condition: z.strictObject({ title: text(100), description: z.string().optional(), expression: text(12_288) }).optional(),
});

const schema = z.strictObject({
  organizations: z.array(z.strictObject({ number: digits(1, 20), displayName: text(100), secureByDefault: z.boolean().optional() })).default([]),
  folders: z.array(z.strictObject({ number: digits(1, 20), displayName: text(30), parent })).default([]),
  projects: z
    .array(z.strictObject({ id: projectId, number: digits(6, 18), parent: parent.optional(), displayName: text(30).optional(), labels: z.record(label, label).optional() }))
    .default([]),
  serviceAccounts: z
    .array(
      z.strictObject({
        project: projectId,
        id: z.string().regex(/^[a-z][a-z\d-]{4,28}[a-z\d]$/, 'must have 6 to 30 lowercase letters, digits and hyphens, begin with a letter and not end with a hyphen'),
        displayName: z.string().max(100).optional(),
        description: z.string().max(256).optional(),
        disabled: z.boolean().optional(),
      }),
    )
    .default([]),
  groups: z
    .array(
      z.strictObject({
        email: z.email('must be an e-mail address, for example team@example.com').transform((email) => email.toLowerCase()),
        organization: digits(1, 20).optional(),
        displayName: z.string().max(73).optional(),
        description: z.string().max(4096).optional(),
        members: z
          .array(z.string().regex(/^(?:user|serviceAccount|group):[^\s@]+@[^\s@]+$/, 'must be user:EMAIL, serviceAccount:EMAIL or group:EMAIL'))
          .max(10_000)
          .optional(),
      }),
    )
    .default([]),
  /** Custom roles, as `gcloud iam roles describe` prints them. */
  roles: z
    .array(
      z.strictObject({
        name: z
          .string()
          .regex(
            /^(?:projects\/[^/]+|organizations\/[1-9]\d*)\/roles\/[A-Za-z0-9_.]{3,64}$/,
            'must be projects/PROJECT/roles/ID or organizations/NUMBER/roles/ID, the id of 3 to 64 letters, digits, underscores and periods',
          ),
        title: z.string().optional(),
        description: z.string().optional(),
        stage: z.enum(['ALPHA', 'BETA', 'GA', 'DEPRECATED', 'DISABLED', 'EAP'], 'must be ALPHA, BETA, GA, DEPRECATED, DISABLED or EAP').default('ALPHA'),
        includedPermissions: z.array(z.string()).default([]),
      }),
    )
    .default([]),
  policies: z.array(z.strictObject({ resource: z.string(), bindings: z.array(binding) })).default([]),
  /** As the Org Policy API v2 takes them, with their name. */
  customConstraints: z
    .array(z.looseObject({ name: z.string().regex(/^organizations\/\d+\/customConstraints\/custom\.\w+$/, 'must be organizations/NUMBER/customConstraints/custom.NAME') }))
    .default([]),
  orgPolicies: z
    .array(
      z.looseObject({
        name: z.string().regex(/^(?:organizations|folders|projects)\/[^/]+\/policies\/[\w.]+$/, 'must be projects/ID/policies/CONSTRAINT, or the like of a folder or organization'),
      }),
    )
    .default([]),
  tagKeys: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z0-9][a-z0-9-]+\/[^/]+$/, 'must be a namespaced name: 111111111111/env of an organization, demo/env of a project'),
        description: z.string().max(256).optional(),
        purpose: z.string().optional(),
        purposeData: z.record(z.string(), z.string()).optional(),
        values: z.array(z.strictObject({ shortName: text(63), description: z.string().max(256).optional() })).default([]),
      }),
    )
    .default([]),
  tagBindings: z
    .array(
      z.strictObject({
        resource: z.string().regex(/^(?:\/\/|(?:projects|folders|organizations)\/[^/]+$)/, 'must be projects/ID, folders/NUMBER, organizations/NUMBER or a full resource name'),
        tagValue: z.string().regex(/^[^/]+\/[^/]+\/[^/]+$/, 'must be a namespaced name, for example 111111111111/env/prod'),
      }),
    )
    .default([]),
  /** As IAM v1 takes them, with their name and their providers, each with its id. */
  workloadIdentityPools: z
    .array(
      z.looseObject({
        name: z.string().regex(/^projects\/[^/]+\/locations\/global\/workloadIdentityPools\/[^/]+$/, 'must be projects/ID/locations/global/workloadIdentityPools/POOL'),
        providers: z.array(z.looseObject({ id: text(32) })).default([]),
      }),
    )
    .default([]),
  /** As IAM v2 takes them, with the resource that they are attached to in their name. */
  denyPolicies: z
    .array(
      z.looseObject({
        name: z
          .string()
          .regex(
            /^(?:projects\/[^/]+|folders\/\d+|organizations\/\d+)\/denyPolicies\/[a-z][a-z0-9.-]{2,62}$/,
            'must be projects/ID/denyPolicies/POLICY, or the like of a folder or organization',
          ),
      }),
    )
    .default([]),
  /** As the Secret Manager API takes them, with their name; what they hold is named by where it comes from, never written here. */
  secrets: z
    .array(
      z.looseObject({
        name: z
          .string()
          .regex(
            /^projects\/[^/]+\/(?:locations\/[^/]+\/)?secrets\/[A-Za-z0-9_-]{1,255}$/,
            'must be projects/PROJECT/secrets/SECRET or projects/PROJECT/locations/REGION/secrets/SECRET',
          ),
        valueFrom: z.union([z.strictObject({ file: text(4096) }), z.strictObject({ env: text(256) })], 'must be {file: PATH} or {env: VARIABLE}').optional(),
      }),
    )
    .default([]),
  images: z.record(z.string(), text(4096)).default({}),
  /** Cloud Run jobs as the v2 API takes them, with their name. */
  jobs: z.array(z.looseObject({ name: z.string().regex(/^projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/]+$/, 'must be projects/PROJECT/locations/LOCATION/jobs/JOB') })).default([]),
});

export type Seed = z.infer<typeof schema>;
/** Where the payload of a secret comes from. */
export type SeedValue = NonNullable<Seed['secrets'][number]['valueFrom']>;

/**
 * @param text YAML or JSON @param sourceName the file's name, for messages
 * @throws SeedError with every fault that was found
 */
export function parseSeed(text: string, sourceName: string): Seed {
  const document = parseDocument(text);
  const [broken] = document.errors;
  if (broken !== undefined) throw new SeedError(`${sourceName} is not valid YAML: ${broken.message}`);
  const value: unknown = document.toJS() ?? {};
  const result = schema.safeParse(value);
  if (!result.success) throw new SeedError(result.error.issues.map((issue) => `${sourceName}: ${describe(issue, value)}`).join('\n'));
  const repeated = findRepeated(result.data);
  if (repeated.length > 0) throw new SeedError(repeated.map((fault) => `${sourceName}: ${fault}`).join('\n'));
  return result.data;
}

/** roles/owner lets nobody set the policies of folders and organizations or their organization policies, create projects, deny anything, nor keep groups. */
const OWNER_ROLES = [
  'roles/owner',
  'roles/actas.groupsAdmin',
  'roles/iam.denyAdmin',
  'roles/orgpolicy.policyAdmin',
  'roles/resourcemanager.folderAdmin',
  'roles/resourcemanager.organizationAdmin',
  'roles/resourcemanager.projectCreator',
];

/** What a data directory holds that was started without a seed. */
export function defaultSeed(owner = 'user:owner@example.com'): Seed {
  return schema.parse({
    organizations: [{ number: '111111111111', displayName: 'example.com' }],
    folders: [{ number: '222222222222', displayName: 'example-folder', parent: 'organizations/111111111111' }],
    projects: [{ id: 'demo', number: '123456789012', parent: 'folders/222222222222', displayName: 'demo' }],
    policies: [
      {
        resource: 'organizations/111111111111',
        bindings: OWNER_ROLES.map((role) => ({ role, members: [owner] })),
      },
    ],
  });
}

function describe(issue: z.core.$ZodIssue, root: unknown): string {
  const place = issue.path.length === 0 ? 'the file' : issue.path.map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${String(step)}`)).join('');
  if (issue.code === 'unrecognized_keys') return `${place} has ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}, which is not known here. Remove or correct it.`;
  const found = issue.path.reduce<unknown>((value, step) => (typeof value === 'object' && value !== null && typeof step !== 'symbol' ? Reflect.get(value, step) : undefined), root);
  return found === undefined ? `${place} is missing. Add it: ${issue.message}.` : `${place} is ${shorten(found)}: ${issue.message}.`;
}

function shorten(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length <= 80 ? json : `${json.slice(0, 77)}...`;
}

/** Each thing is declared once; two declarations could contradict each other. */
function findRepeated(seed: Seed): string[] {
  const faults: string[] = [];
  const once = (list: string, keys: readonly string[]) => {
    const first = new Map<string, number>();
    for (const [i, key] of keys.entries()) {
      const before = first.get(key);
      if (before === undefined) first.set(key, i);
      else faults.push(`${list}[${i}] declares ${key} again, after ${list}[${before}]. Declare it once.`);
    }
  };
  once(
    'organizations',
    seed.organizations.map(({ number }) => number),
  );
  once(
    'folders',
    seed.folders.map(({ number }) => number),
  );
  once(
    'projects',
    seed.projects.map(({ id }) => id),
  );
  once(
    'projects',
    seed.projects.map(({ number }) => `number ${number}`),
  );
  once(
    'serviceAccounts',
    seed.serviceAccounts.map(({ project, id }) => `${id} of project ${project}`),
  );
  once(
    'groups',
    seed.groups.map(({ email }) => email),
  );
  once(
    'roles',
    seed.roles.map(({ name }) => name),
  );
  once(
    'policies',
    seed.policies.map(({ resource }) => resource),
  );
  once(
    'customConstraints',
    seed.customConstraints.map(({ name }) => name),
  );
  once(
    'orgPolicies',
    seed.orgPolicies.map(({ name }) => name),
  );
  once(
    'tagKeys',
    seed.tagKeys.map(({ name }) => name),
  );
  once(
    'tagBindings',
    seed.tagBindings.map(({ resource, tagValue }) => `${tagValue} on ${resource}`),
  );
  once(
    'workloadIdentityPools',
    seed.workloadIdentityPools.map(({ name }) => name),
  );
  once(
    'denyPolicies',
    seed.denyPolicies.map(({ name }) => name),
  );
  once(
    'secrets',
    seed.secrets.map(({ name }) => name),
  );
  once(
    'jobs',
    seed.jobs.map(({ name }) => name),
  );
  return faults;
}
