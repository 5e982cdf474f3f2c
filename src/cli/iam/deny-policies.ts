/** The group `iam policies`: deny policies. A client of google.iam.v2. */
import { type Command, Option } from 'commander';
import { type Api, IAM_V2, type Operation } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { readDocument } from '../documents.ts';
import { failure, usageFailure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { isRecord } from '../json.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import type { Session } from '../session.ts';

interface DenyPolicy {
  readonly name?: string;
  readonly displayName?: string;
  readonly etag?: string;
  readonly updateTime?: string;
}

interface PolicyFlags {
  readonly attachmentPoint?: string;
  readonly kind?: string;
  readonly policyFile?: string;
  readonly etag?: string;
}

const COLUMNS = [
  column<DenyPolicy>('ID', (policy) => policy.name?.split('/').at(-1) ?? ''),
  column<DenyPolicy>('DISPLAY_NAME', (policy) => policy.displayName ?? ''),
  column<DenyPolicy>('UPDATED', (policy) => policy.updateTime ?? ''),
];
const PLACE = '--attachment-point=cloudresourcemanager.googleapis.com/projects/demo --kind=denypolicies';

export function registerDenyPolicies(iam: Command, shell: Shell): void {
  const group = defineGroup(iam, 'policies', 'deny policies: what they deny, no role gives back');
  const make = (nameAndArgs: string, summary: string, example: string): CliCommand =>
    defineCommand(group, nameAndArgs, { summary, examples: [`actas iam policies ${example} ${PLACE}`] })
      .option('--attachment-point <resource>', 'project, folder or organization: cloudresourcemanager.googleapis.com/projects/demo; encoded (%2F) or not')
      .addOption(new Option('--kind <kind>', 'denypolicies, the only kind that is served').default('denypolicies'));

  const create = make('create <policy>', 'create a deny policy', 'create no-runs --policy-file=policy.json').option(
    '--policy-file <file>',
    'the policy as JSON or YAML: displayName, rules; - reads from stdin',
  );
  onRun<PolicyFlags>(create, shell, async (session, policyId) => {
    const collection = await collectionOf(session);
    const policy = await readPolicy(session);
    const api = await session.api();
    const made = await api.finish<DenyPolicy>(IAM_V2, await api.send<Operation>('POST', IAM_V2, collection, policy, { policyId }));
    session.terminal.note(`Created deny policy [${policyId}].`);
    await print(session, made);
  });

  const get = make('get <policy>', 'show a deny policy', 'get no-runs');
  onRun<PolicyFlags>(get, shell, async (session, id) => {
    const collection = await collectionOf(session);
    await print(session, await (await session.api()).get<DenyPolicy>(IAM_V2, `${collection}/${id}`));
  });

  const list = addListFlags(make('list', 'list the deny policies of a project, folder or organization', 'list'));
  onRun<PolicyFlags & ListFlags>(list, shell, async (session) => {
    const collection = await collectionOf(session);
    const found = await (await session.api()).list<DenyPolicy>(IAM_V2, collection, 'policies', { limit: serverLimit(session.flags) });
    await showList(session, found, COLUMNS, 'No deny policies here.');
  });
  registerChanges(make, shell);
}

function registerChanges(make: (nameAndArgs: string, summary: string, example: string) => CliCommand, shell: Shell): void {
  const update = make('update <policy>', 'replace the rules and the display name of a deny policy', 'update no-runs --policy-file=policy.json')
    .option('--policy-file <file>', 'the policy as JSON or YAML, with the etag that get printed; - reads from stdin')
    .option('--etag <etag>', 'in the place of the etag in the file');
  onRun<PolicyFlags>(update, shell, async (session, id) => {
    const name = `${await collectionOf(session)}/${id}`;
    const { name: _name, ...policy } = await readPolicy(session);
    const api = await session.api();
    const etag = session.flags.etag ?? policy.etag ?? (await currentEtag(session, api, name));
    const updated = await api.finish<DenyPolicy>(IAM_V2, await api.send<Operation>('PUT', IAM_V2, name, { ...policy, etag }));
    session.terminal.note(`Updated deny policy [${id}].`);
    await print(session, updated);
  });

  const remove = make('delete <policy>', 'delete a deny policy', 'delete no-runs').option('--etag <etag>', 'delete it only if this is its etag');
  onRun<PolicyFlags>(remove, shell, async (session, id) => {
    const name = `${await collectionOf(session)}/${id}`;
    if (!(await session.terminal.confirm(`You are about to delete deny policy [${id}]. Continue?`))) return;
    const api = await session.api();
    const { etag } = session.flags;
    await api.finish(IAM_V2, await api.send<Operation>('DELETE', IAM_V2, name, undefined, etag === undefined ? {} : { etag }));
    session.terminal.note(`Deleted deny policy [${id}].`);
  });
}

async function currentEtag(session: Session, api: Api, name: string): Promise<string | undefined> {
  session.terminal.warn('The file has no etag: a change made since it was read would be lost.');
  return (await api.get<DenyPolicy>(IAM_V2, name)).etag;
}

/** `policies/ATTACHMENT/denypolicies`, the attachment point encoded as it is in names. */
async function collectionOf(session: Session<PolicyFlags>): Promise<string> {
  const { kind } = session.flags;
  if (kind !== 'denypolicies') throw usageFailure(`--kind=${kind} is not supported: only denypolicies are.`);
  const given = requiredFlag(session.flags.attachmentPoint, '--attachment-point <resource>');
  await session.project();
  const plain = given.replaceAll(/%2f/gi, '/').replace(/^\/\//, '');
  const full = /^(?:projects|folders|organizations)\//.test(plain) ? `cloudresourcemanager.googleapis.com/${plain}` : plain;
  return `policies/${encodeURIComponent(full)}/denypolicies`;
}

async function readPolicy(session: Session<PolicyFlags>): Promise<DenyPolicy> {
  const file = requiredFlag(session.flags.policyFile, '--policy-file <file>');
  const document = await readDocument(session, file);
  if (!isRecord(document)) throw failure(`${file} does not hold a deny policy.`, 'It has the form that get prints: displayName, and rules, each with a denyRule.');
  // Whatever the file holds is sent as it is; the server checks it.
  return document;
}

async function print(session: Session, policy: DenyPolicy): Promise<void> {
  await printResource(session.terminal, session.format ?? parseFormat('yaml'), policy);
}
