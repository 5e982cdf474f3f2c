/**
 * `actas import`: makes what files declare so, through the API and with the caller's own permissions. Reads seed files (as `actas export` writes them), allow policies as
 * `gcloud ... get-iam-policy --format=json` prints them, v1 YAML of jobs, and exports of Cloud Asset Inventory. What is not declared stays; what is so already is left alone.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Option } from 'commander';
import { parseSeed, SeedError } from '../seed/seed.ts';
import { type Api, RESOURCE_MANAGER } from './api.ts';
import { type AssetImport, importAssets, isAssetFile, type Source, spooled } from './assets/import-assets.ts';
import { type CliCommand, defineCommand, onRun, type Shell, withRegion } from './command.ts';
import { readDocuments } from './documents.ts';
import { CliFailure, failure } from './failure.ts';
import { accountItem, denyItem, type Item, jobItem, orgPolicyItem, placeItem, policyItem, recordsOf, roleItem, secretItem, v1JobItem } from './import-changes.ts';
import { groupItem, poolItems, tagBindingItem, tagKeyItems } from './import-parts.ts';
import { isRecord, type Json } from './json.ts';
import type { Binding } from './policy.ts';
import { declaredJob } from './run/replace.ts';
import type { Session } from './session.ts';

interface ImportFlags {
  readonly dryRun?: boolean;
  readonly resource?: string;
}

export function registerImport(program: CliCommand, shell: Shell): void {
  const command = withRegion(
    defineCommand(program, 'import <path>', {
      summary: 'make what seed files, policies, job YAML or an asset export declare',
      description:
        'Makes what a file, every .yaml, .yml, .json and .jsonl file of a directory, or stdin (-) declares: seed files, allow policies as gcloud projects get-iam-policy --format=json prints them, ' +
        'jobs (apiVersion run.googleapis.com/v1), and exports of Cloud Asset Inventory (gcloud asset export, gcloud asset list or search-all-iam-policies --format=json), of which it takes projects, ' +
        'folders, service accounts, custom roles, jobs and their policies, and counts the rest. It asks the API, so the caller needs the permissions. Applied twice, it changes nothing. A declared allow policy takes the place of the one that is there.',
      examples: ['actas import seed.yaml --dry-run', 'actas import policy.json --project=demo', 'actas import jobs/ --region=us-east1', 'actas import assets.jsonl --dry-run'],
    }),
  )
    .addOption(new Option('--dry-run', 'say what would change, and change nothing'))
    .option(
      '--resource <name>',
      'whose an allow policy is (default: the project): projects/demo/serviceAccounts/EMAIL, projects/demo/locations/REGION/jobs/JOB, folders/NUMBER, ...',
    );
  onRun<ImportFlags>(command, shell, async (session, path) => {
    const kept = path === '-' ? await spooled(session.io.stdin) : undefined;
    try {
      await importAll(session, path, kept === undefined ? await filesOf(path) : [kept]);
    } finally {
      await kept?.remove();
    }
  });
}

/** Every file that may declare something, those in directories below included, except hidden ones: the `.github` of a repository is no job. */
async function filesOf(path: string): Promise<readonly Source[]> {
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) return [{ file: path, name: path }];
  const names = (await readdir(path, { recursive: true })).filter((name) => /\.(?:ya?ml|json|jsonl|ndjson)$/.test(name) && !/(?:^|[\\/])\./.test(name)).toSorted();
  return names.map((name) => join(path, name)).map((file) => ({ file, name: file }));
}

async function importAll(session: Session<ImportFlags>, path: string, sources: readonly Source[]): Promise<void> {
  const api = await session.api();
  const items: Item[] = [];
  const exports: Source[] = [];
  // All is read before the first change: a file that is broken changes nothing.
  for (const source of sources) {
    if (await isAssetFile(source)) {
      exports.push(source);
      continue;
    }
    const documents = await readDocuments(session, source.file, source.name);
    for (const [i, document] of documents.entries()) items.push(...(await itemsOf(session, api, document, `${source.name}, document ${i + 1}`)));
  }
  if (items.length === 0 && exports.length === 0) throw failure(`${path} declares nothing.`);
  const assets =
    exports.length === 0 ? undefined : await importAssets(api, exports, { project: session.flags.project, terminal: session.terminal, numberOf: (id) => numberOf(api, id) });
  await makeSo(session, api, inOrder(items, assets));
  assets?.tell();
}

/** What a file of another kind declares may need what an export brings. */
async function* inOrder(items: readonly Item[], assets: AssetImport | undefined): AsyncGenerator<Item> {
  if (assets !== undefined) yield* assets.items();
  yield* items;
  if (assets !== undefined) yield* assets.lastItems();
}

async function numberOf(api: Api, id: string): Promise<string> {
  return (await api.get<{ readonly name?: string }>(RESOURCE_MANAGER, `projects/${id}`)).name?.split('/')[1] ?? '';
}

async function makeSo(session: Session<ImportFlags>, api: Api, items: AsyncIterable<Item>): Promise<void> {
  const { terminal, flags } = session;
  let [changed, seen] = [0, 0];
  for await (const { title, look } of items) {
    seen += 1;
    try {
      const change = await look(api);
      if (change === undefined) continue;
      changed += 1;
      if (flags.dryRun !== true) await change.apply();
      terminal.print(`${flags.dryRun === true ? 'would ' : ''}${change.verb} ${title}`);
    } catch (error) {
      if (!(error instanceof CliFailure)) throw error;
      const before = flags.dryRun === true || changed === 0 ? 'Nothing was changed.' : 'What is listed above was changed; after mending this, run the command again.';
      throw new CliFailure(error.exitCode, `${title}: ${error.message}`, [...error.lines, before], error);
    }
  }
  terminal.note(changed === 0 ? 'Everything is as declared: nothing to change.' : `${changed} of ${seen} ${flags.dryRun === true ? 'would change' : 'changed'}.`);
}

async function itemsOf(session: Session<ImportFlags>, api: Api, document: Json, place: string): Promise<readonly Item[]> {
  if (document === null) return [];
  if (!isRecord(document)) throw failure(`${place}: this is no object.`);
  const project = await session.project();
  if (document['kind'] !== undefined) {
    const declared = declaredJob(document, place);
    return [v1JobItem(declared, project, session.flags.region ?? declared.region ?? (await session.location()).region)];
  }
  const number = (id: string) => numberOf(api, id);
  if (document['bindings'] !== undefined) {
    const resource = session.flags.resource ?? `projects/${project}`;
    return [policyItem(resource, await localBindings(session, recordsOf(document['bindings'], `${place}: bindings`), await number(project)), number)];
  }
  return seedItems(session, document, place, number);
}

/** Without the agents and default accounts of a project that has another number: here they are others, and made with their project. */
async function localBindings(session: Session<ImportFlags>, bindings: readonly Binding[], number: string): Promise<Binding[]> {
  return bindings.flatMap((binding) => {
    const members = (binding.members ?? []).filter((member) => {
      const other = /^serviceAccount:(?:service-)?(\d+)(?:-compute)?@/.exec(member)?.[1];
      if (other === undefined || other === number) return true;
      session.terminal.warn(`Left out: ${member} (${binding.role ?? ''}), which Google made for project number ${other}; this one has ${number}.`);
      return false;
    });
    return members.length === 0 ? [] : [{ ...binding, members }];
  });
}

function seedItems(session: Session<ImportFlags>, document: Json, place: string, numberOf: (id: string) => Promise<string>): readonly Item[] {
  const seed = checkedSeed(document, place);
  if (Object.keys(seed.images).length > 0) session.terminal.warn(`${place}: images are applied at a start alone:  actas up --seed=FILE`);
  if (seed.secrets.some(({ valueFrom }) => valueFrom !== undefined))
    session.terminal.warn(`${place}: what secrets hold (valueFrom) is read at a start alone. Here:  actas secrets versions add SECRET --data-file=FILE`);
  const isOfSecret = (resource: string) => /\/secrets\/[^/]+$/.test(resource);
  const isOfJob = (resource: string) => /\/jobs\/[^/]+$/.test(resource);
  const plain = (resource: string) => resource.replace(/^\/\/[a-z]+\.googleapis\.com\//, '');
  const policies = seed.policies.map(({ resource, bindings }) => ({ resource: plain(resource), bindings: bindings.map(cleaned) }));
  const json = (value: object): { readonly [key: string]: Json } => JSON.parse(JSON.stringify(value));
  return [
    ...seed.organizations.map(({ number }) => placeItem(`organizations/${number}`)),
    ...seed.folders.map(({ number }) => placeItem(`folders/${number}`)),
    ...seed.projects.map(({ id }) => placeItem(`projects/${id}`)),
    ...seed.customConstraints.map((constraint) => orgPolicyItem(json(constraint), 'customConstraints')),
    ...seed.serviceAccounts.map((account) => accountItem({ project: account.project, id: account.id, ...json(account) })),
    ...seed.groups.map((group) => groupItem(group, organizationOf(group, seed.organizations, place))),
    ...seed.tagKeys.flatMap((key) => tagKeyItems({ ...json(key), values: key.values.map(json) })),
    ...seed.tagBindings.map(({ resource, tagValue }) => tagBindingItem(resource, tagValue)),
    ...seed.workloadIdentityPools.flatMap((pool) => poolItems(json(pool))),
    ...seed.roles.map((role) => roleItem(json(role))),
    ...seed.secrets.map((secret) => secretItem(json(secret))),
    ...policies.filter(({ resource }) => !isOfJob(resource) && !isOfSecret(resource)).map(({ resource, bindings }) => policyItem(resource, bindings, numberOf)),
    ...policies.filter(({ resource }) => isOfSecret(resource)).map(({ resource, bindings }) => policyItem(resource, bindings, numberOf)),
    ...seed.jobs.map((job) => jobItem(json(job))),
    ...policies.filter(({ resource }) => isOfJob(resource)).map(({ resource, bindings }) => policyItem(resource, bindings, numberOf)),
    // Last: they could forbid what comes before.
    ...seed.orgPolicies.map((policy) => orgPolicyItem(json(policy), 'policies')),
    ...seed.denyPolicies.map((policy) => denyItem(json(policy))),
  ];
}

/** @throws failure where it is not said */
function organizationOf(
  group: { readonly email: string; readonly organization?: string | undefined },
  all: readonly { readonly number: string; readonly displayName: string }[],
  place: string,
) {
  const domain = group.email.slice(group.email.indexOf('@') + 1);
  const number = group.organization ?? all.find(({ displayName }) => displayName === domain)?.number ?? (all.length === 1 ? all[0]?.number : undefined);
  if (number === undefined) throw failure(`${place}: which organization group ${group.email} is of, the file does not say.`, 'Write organization: NUMBER in the group.');
  return `organizations/${number}`;
}

function cleaned(binding: { readonly role: string; readonly members: string[]; readonly condition?: object | undefined }): Binding {
  const { role, members, condition } = binding;
  return { role, members, ...(condition === undefined ? {} : { condition }) };
}

/** @throws failure with every fault of the file */
function checkedSeed(document: Json, place: string) {
  try {
    return parseSeed(JSON.stringify(document), place);
  } catch (error) {
    if (error instanceof SeedError) throw failure(error.message);
    throw error;
  }
}
