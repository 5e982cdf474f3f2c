/** A project as HCL for the google provider. What Google makes by itself is left out, and its number is asked for where an address holds it. */

import { attribute, block, hclBlock, type Item, itemsOf, maybe, quoted, Raw, type Value } from './export-hcl.ts';
import { isGivenByGoogle, type JsonRecord, type NodePolicy, NUMBERED, nameOf, type Snapshot, without } from './export-read.ts';
import { poolResources, tagResources } from './export-terraform-parts.ts';
import type { Role } from './iam/roles.ts';
import { isList, isRecord, type Json } from './json.ts';

/** @throws nothing: whatever was read can be written */
export function terraformOf(snapshot: Snapshot): string {
  const [project] = snapshot.projects;
  if (project === undefined) return '';
  const { id, number } = project;
  const names = createNames();
  const accounts = new Map(snapshot.serviceAccounts.map((account) => [`${account.id}@${id}.iam.gserviceaccount.com`, names('google_service_account', account.id)]));
  const roles = new Map(snapshot.roles.map(({ name = '' }) => [name, names('google_project_iam_custom_role', name.split('/').at(-1) ?? '')]));
  const jobs = new Map(snapshot.jobs.map((job) => [nameOf(job), names('google_cloud_run_v2_job', nameOf(job).split('/').at(-1) ?? '')]));
  const place: Place = { id, number, accounts, roles, jobs, names };
  return [
    `# Project ${id}, as \`actas export --format=terraform\` wrote it.\n`,
    hclBlock('provider "google"', [attribute('project', id)]),
    hclBlock('data "google_project" "project"', [attribute('project_id', id)]),
    ...snapshot.serviceAccounts.map(({ id: account, displayName = '', description = '', disabled }) =>
      hclBlock(`resource "google_service_account" "${accounts.get(`${account}@${id}.iam.gserviceaccount.com`)}"`, [
        attribute('project', id),
        attribute('account_id', account),
        ...maybe('display_name', displayName),
        ...maybe('description', description),
        ...(disabled === true ? [attribute('disabled', true)] : []),
      ]),
    ),
    ...snapshot.roles.map((role) => roleResource(role, place)),
    ...tagResources(snapshot, names),
    ...poolResources(snapshot, names),
    ...snapshot.jobs.map((job) => jobResource(job, place)),
    ...snapshot.policies.flatMap((policy) => memberResources(policy, place)),
    ...snapshot.denyPolicies.map((policy) => denyResource(policy, place)),
    ...snapshot.orgPolicies.map((policy) => orgPolicyResource(policy, place)),
  ].join('\n');
}

interface Place {
  readonly id: string;
  readonly number: string;
  /** Local names of resources, by address, full name and full name. */
  readonly accounts: ReadonlyMap<string, string>;
  readonly roles: ReadonlyMap<string, string>;
  readonly jobs: ReadonlyMap<string, string>;
  readonly names: (type: string, wanted: string) => string;
}

/** Local names: letters, digits and underscores, each once for a type. */
function createNames(): Place['names'] {
  const taken = new Set<string>();
  return (type, wanted) => {
    const base = wanted.replaceAll(/[^A-Za-z0-9_]+/g, '_').replace(/^(?![A-Za-z_])/, '_');
    let name = base;
    for (let count = 2; taken.has(`${type}.${name}`); count += 1) name = `${base}_${count}`;
    taken.add(`${type}.${name}`);
    return name;
  };
}

function roleResource({ name = '', title = '', description = '', stage = 'ALPHA', includedPermissions = [] }: Role, { id, roles }: Place): string {
  return hclBlock(`resource "google_project_iam_custom_role" "${roles.get(name)}"`, [
    attribute('project', id),
    attribute('role_id', name.split('/').at(-1) ?? ''),
    attribute('title', title === '' ? (name.split('/').at(-1) ?? '') : title),
    ...maybe('description', description),
    attribute('stage', stage),
    attribute('permissions', [...includedPermissions]),
  ]);
}

function jobResource(job: JsonRecord, place: Place): string {
  const [, , , location = '', , name = ''] = nameOf(job).split('/');
  const { template, ...rest } = without(job, ['name']);
  return hclBlock(`resource "google_cloud_run_v2_job" "${place.jobs.get(nameOf(job))}"`, [
    attribute('project', place.id),
    attribute('name', name),
    attribute('location', location),
    ...itemsOf(rest),
    block('template', templateItems(isRecord(template) ? template : {}, place)),
  ]);
}

/** The client is whoever wrote it last; an account of the project is named by its resource, and the default account left to Google. */
function templateItems(template: JsonRecord, place: Place): Item[] {
  const { template: task, ...execution } = without(template, ['client', 'clientVersion']);
  const { serviceAccount, ...fields } = isRecord(task) ? without(task, ['client', 'clientVersion']) : {};
  const account = typeof serviceAccount === 'string' ? accountValue(serviceAccount, place) : undefined;
  const isDefault = serviceAccount === `${place.number}-compute@developer.gserviceaccount.com`;
  return [...itemsOf(execution), block('template', [...(isDefault ? [] : maybe('service_account', account)), ...itemsOf(fields)])];
}

function accountValue(email: string, { accounts }: Place): Value {
  const name = accounts.get(email);
  return name === undefined ? email : new Raw(`google_service_account.${name}.email`);
}

function memberValue(member: string, { id, number, accounts }: Place): Value {
  const email = member.slice(member.indexOf(':') + 1);
  const account = member.startsWith('serviceAccount:') ? accounts.get(email) : undefined;
  if (account !== undefined) return new Raw(`"serviceAccount:\${google_service_account.${account}.email}"`);
  const parts = NUMBERED.exec(member);
  if (parts?.[2] === number) return new Raw(`"${parts[1]}\${data.google_project.project.number}${quoted(parts[3] ?? '').slice(1, -1)}"`);
  return member.replace(/^(project(?:Owner|Editor|Viewer)):.*$/, `$1:${id}`);
}

function memberResources({ resource, bindings }: NodePolicy, place: Place): string[] {
  const holder = holderOf(resource, place);
  return bindings.flatMap(({ role = '', members = [], condition }) =>
    members.flatMap((member) => {
      if (resource === `projects/${place.id}` && isGivenByGoogle(role, member, place.number)) return [];
      const custom = place.roles.get(role);
      const name = place.names(holder.type, `${holder.name}_${role.split('/').at(-1) ?? ''}_${shortMember(member)}`);
      return [
        hclBlock(`resource "${holder.type}" "${name}"`, [
          ...holder.items,
          attribute('role', custom === undefined ? role : new Raw(`google_project_iam_custom_role.${custom}.name`)),
          attribute('member', memberValue(member, place)),
          ...(condition === undefined
            ? []
            : [
                block('condition', [
                  attribute('title', condition.title ?? ''),
                  ...maybe('description', condition.description),
                  attribute('expression', condition.expression ?? ''),
                ]),
              ]),
        ]),
      ];
    }),
  );
}

/** For a local name: without domain, and of an identity of a pool what stands in the pool. */
function shortMember(member: string): string {
  return member.replace(/@.*$/, '').replace(/\/\/iam\.googleapis\.com\/projects\/\d+\/locations\/global\/workloadIdentityPools/, '');
}

function holderOf(resource: string, place: Place): { readonly type: string; readonly name: string; readonly items: readonly Item[] } {
  const [, , kind, key = '', , job = ''] = resource.split('/');
  if (kind === 'locations')
    return {
      type: 'google_cloud_run_v2_job_iam_member',
      name: job,
      items: [attribute('project', place.id), attribute('location', key), attribute('name', new Raw(`google_cloud_run_v2_job.${place.jobs.get(resource)}.name`))],
    };
  if (kind !== 'serviceAccounts') return { type: 'google_project_iam_member', name: 'project', items: [attribute('project', place.id)] };
  const account = place.accounts.get(key);
  const own = account === undefined ? defaultAccountId(place) : new Raw(`google_service_account.${account}.name`);
  return { type: 'google_service_account_iam_member', name: account ?? 'default', items: [attribute('service_account_id', own)] };
}

function defaultAccountId({ id }: Place): Raw {
  return new Raw(`"projects/${id}/serviceAccounts/\${data.google_project.project.number}-compute@developer.gserviceaccount.com"`);
}

function denyResource(policy: JsonRecord, { id, names }: Place): string {
  const name = nameOf(policy).split('/').at(-1) ?? '';
  const rules: readonly Json[] = isList(policy['rules']) ? policy['rules'] : [];
  return hclBlock(`resource "google_iam_deny_policy" "${names('google_iam_deny_policy', name)}"`, [
    attribute('parent', new Raw(`urlencode("cloudresourcemanager.googleapis.com/projects/${id}")`)),
    attribute('name', name),
    ...(typeof policy['displayName'] === 'string' ? [attribute('display_name', policy['displayName'])] : []),
    ...rules.map((rule) => block('rules', isRecord(rule) ? itemsOf(rule) : [])),
  ]);
}

function orgPolicyResource(policy: JsonRecord, { id, names }: Place): string {
  const constraint = nameOf(policy).split('/').at(-1) ?? '';
  const spec = (key: string): Item[] => (isRecord(policy[key]) ? [block(key === 'spec' ? 'spec' : 'dry_run_spec', specItems(policy[key]))] : []);
  return hclBlock(`resource "google_org_policy_policy" "${names('google_org_policy_policy', constraint)}"`, [
    attribute('name', `projects/${id}/policies/${constraint}`),
    attribute('parent', `projects/${id}`),
    ...spec('spec'),
    ...spec('dryRunSpec'),
  ]);
}

/** The provider has `enforce`, `allow_all` and `deny_all` as texts, and parameters as JSON. */
function specItems(spec: JsonRecord): Item[] {
  const { rules, ...rest } = spec;
  const written = (rule: JsonRecord): JsonRecord =>
    Object.fromEntries(
      Object.entries(rule).map(([key, value]) => [key, typeof value === 'boolean' ? String(value).toUpperCase() : key === 'parameters' ? JSON.stringify(value) : value]),
    );
  return [...itemsOf(rest), ...(isList(rules) ? rules.map((rule) => block('rules', isRecord(rule) ? itemsOf(written(rule)) : [])) : [])];
}
