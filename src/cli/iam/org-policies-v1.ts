/** The group `resource-manager org-policies`, which speaks version 1 of the API as gcloud does. */
import { type Api, RESOURCE_MANAGER_V1 } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, type Shell } from '../command.ts';
import { readDocument } from '../documents.ts';
import { failure, isApiFailure, usageFailure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { isRecord } from '../json.ts';
import { addListFlags, column, showList } from '../listing.ts';
import type { Session } from '../session.ts';
import { constraintId, type NodeFlags, nodeOf, withNode } from './org-policy-node.ts';

interface ListPolicy {
  allowedValues?: string[];
  deniedValues?: string[];
  allValues?: string;
  inheritFromParent?: boolean;
}
interface OrgPolicy {
  constraint?: string;
  etag?: string;
  listPolicy?: ListPolicy;
  booleanPolicy?: { enforced?: boolean };
  restoreDefault?: object;
}
interface Row extends OrgPolicy {
  readonly set: boolean;
}
interface Constraint {
  readonly name?: string;
}

const PREFIX = 'resource-manager org-policies';
const EXAMPLE = 'iam.disableCrossProjectServiceAccountUsage';
const COLUMNS = [
  column<Row>('CONSTRAINT', (policy) => policy.constraint ?? ''),
  column<Row>('LIST_POLICY', (policy) => (policy.listPolicy === undefined ? '-' : 'SET')),
  column<Row>('BOOLEAN_POLICY', (policy) => (policy.booleanPolicy === undefined ? '-' : 'SET')),
  column<Row>('ETAG', (policy) => policy.etag ?? '-'),
];
const MOST_TRIES = 6;

export function registerOrgPoliciesV1(parent: CliCommand, shell: Shell): void {
  const group = defineGroup(parent, 'org-policies', 'organization policies of projects, folders and organizations');
  registerReads(group, shell);
  registerSwitches(group, shell);
  registerValues(group, shell);
  registerWrites(group, shell);
}

const post = async <T extends object>(api: Api, node: string, verb: string, body: object): Promise<T> => api.send<T>('POST', RESOURCE_MANAGER_V1, `${node}:${verb}`, body);

function registerReads(group: CliCommand, shell: Shell): void {
  const describe = withNode(
    defineCommand(group, 'describe <constraint>', {
      summary: 'show the policy of a constraint',
      examples: [`actas ${PREFIX} describe ${EXAMPLE} --project=demo --effective`, `actas ${PREFIX} describe gcp.resourceLocations --organization=111111111111`],
    }).option('--effective', 'what is in force, with everything that is inherited'),
  );
  onRun<NodeFlags & { readonly effective?: boolean }>(describe, shell, async (session, given) => {
    const verb = session.flags.effective === true ? 'getEffectiveOrgPolicy' : 'getOrgPolicy';
    const node = await nodeOf(session);
    await print(session, await post<OrgPolicy>(await session.api(), node, verb, { constraint: `constraints/${constraintId(given)}` }));
  });

  const list = addListFlags(
    withNode(
      defineCommand(group, 'list', {
        summary: 'list the policies that are set',
        examples: [`actas ${PREFIX} list --project=demo`, `actas ${PREFIX} list --organization=111111111111 --show-unset`],
      }).option('--show-unset', 'constraints without a policy as well'),
    ),
  );
  onRun<NodeFlags & ListFlags & { readonly showUnset?: boolean }>(list, shell, async (session) => {
    const node = await nodeOf(session);
    const api = await session.api();
    const rows: Row[] = (await everyPage<OrgPolicy>(api, node, 'listOrgPolicies', 'policies')).map((policy) => ({ ...policy, set: true }));
    if (session.flags.showUnset === true) {
      const set = new Set(rows.map(({ constraint }) => constraint));
      for (const { name } of await everyPage<Constraint>(api, node, 'listAvailableOrgPolicyConstraints', 'constraints'))
        if (name !== undefined && !set.has(name)) rows.push({ constraint: name, set: false });
    }
    await showList(session, rows, COLUMNS, 'No policies are set here.');
  });
}

async function everyPage<T extends object>(api: Api, node: string, verb: string, field: string): Promise<T[]> {
  const items: T[] = [];
  let pageToken: string | undefined;
  do {
    const page: Readonly<Record<string, unknown>> & { nextPageToken?: string } = await post(api, node, verb, pageToken === undefined ? {} : { pageToken });
    const found = page[field];
    if (Array.isArray(found)) items.push(...found);
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined && pageToken !== '');
  return items;
}

function registerSwitches(group: CliCommand, shell: Shell): void {
  const verbs = [
    { verb: 'enable-enforce', enforced: true, summary: 'enforce a boolean constraint' },
    { verb: 'disable-enforce', enforced: false, summary: 'stop enforcing a boolean constraint' },
  ] as const;
  for (const { verb, enforced, summary } of verbs) {
    const command = withNode(defineCommand(group, `${verb} <constraint>`, { summary, examples: [`actas ${PREFIX} ${verb} ${EXAMPLE} --project=demo`] }));
    onRun<NodeFlags>(command, shell, async (session, given) => {
      const node = await nodeOf(session);
      const policy = { constraint: `constraints/${constraintId(given)}`, booleanPolicy: { enforced } };
      await print(session, await post<OrgPolicy>(await session.api(), node, 'setOrgPolicy', { policy }));
    });
  }
}

function registerValues(group: CliCommand, shell: Shell): void {
  for (const verb of ['allow', 'deny'] as const) {
    const command = withNode(
      defineCommand(group, `${verb} <constraint> [values...]`, {
        summary: `add values to those that a list constraint ${verb === 'allow' ? 'allows' : 'denies'}`,
        description: `Adds values to those that a list constraint ${verb === 'allow' ? 'allows' : 'denies'}. Without values, ${verb === 'allow' ? 'allows' : 'denies'} all of them.`,
        examples: [`actas ${PREFIX} ${verb} gcp.resourceLocations in:us-locations --organization=111111111111`, `actas ${PREFIX} ${verb} run.allowedVPCEgress --project=demo`],
      }),
    );
    onRun<NodeFlags>(command, shell, (session, given) => changeValues(session, verb, `constraints/${constraintId(given)}`, command.args.slice(1)));
  }
}

/** Read, change, write with the etag that was read; a concurrent change starts again. */
async function changeValues(session: Session<NodeFlags>, verb: 'allow' | 'deny', constraint: string, values: readonly string[]): Promise<void> {
  const node = await nodeOf(session);
  const api = await session.api();
  for (let attempt = 1; ; attempt += 1) {
    const { etag, listPolicy = {} } = await post<OrgPolicy>(api, node, 'getOrgPolicy', { constraint });
    const next = values.length === 0 ? { allValues: verb === 'allow' ? 'ALLOW' : 'DENY' } : withValues(listPolicy, verb, values);
    try {
      const policy: OrgPolicy = { constraint, listPolicy: next, ...(etag === undefined ? {} : { etag }) };
      return await print(session, await post<OrgPolicy>(api, node, 'setOrgPolicy', { policy }));
    } catch (error) {
      if (!isApiFailure(error, 'ABORTED') || attempt === MOST_TRIES) throw error;
    }
  }
}

function withValues(policy: ListPolicy, verb: 'allow' | 'deny', values: readonly string[]): ListPolicy {
  if (policy.allValues !== undefined && policy.allValues !== 'ALL_VALUES_UNSPECIFIED')
    throw failure(`The policy ${policy.allValues === 'ALLOW' ? 'allows' : 'denies'} all values, so none can be added.`, 'Delete it first, or replace it with set-policy.');
  const field = verb === 'allow' ? 'allowedValues' : 'deniedValues';
  return { ...policy, [field]: [...new Set([...(policy[field] ?? []), ...values])] };
}

function registerWrites(group: CliCommand, shell: Shell): void {
  const set = withNode(
    defineCommand(group, 'set-policy <file>', {
      summary: 'set a policy from a JSON or YAML file',
      description: 'Sets a policy from a JSON or YAML file, in the form that describe prints; - reads from stdin.',
      examples: [`actas ${PREFIX} set-policy policy.yaml --project=demo`],
    }),
  );
  onRun<NodeFlags>(set, shell, async (session, file) => {
    const node = await nodeOf(session);
    const policy = await readDocument(session, file);
    if (!isRecord(policy) || typeof policy['constraint'] !== 'string')
      throw usageFailure(`${file} does not hold a policy with a constraint.`, 'It has the form that describe prints: constraint, and booleanPolicy, listPolicy or restoreDefault.');
    await print(session, await post<OrgPolicy>(await session.api(), node, 'setOrgPolicy', { policy }));
  });

  const remove = withNode(
    defineCommand(group, 'delete <constraint>', {
      summary: 'delete a policy: what is above it, or the default, is in force then',
      examples: [`actas ${PREFIX} delete ${EXAMPLE} --project=demo`],
    }),
  );
  onRun<NodeFlags>(remove, shell, async (session, given) => {
    const node = await nodeOf(session);
    await post(await session.api(), node, 'clearOrgPolicy', { constraint: `constraints/${constraintId(given)}` });
    session.terminal.note(`Deleted [${node}/policies/${constraintId(given)}].`);
  });
}

async function print(session: Session, policy: OrgPolicy): Promise<void> {
  await printResource(session.terminal, session.format ?? parseFormat('yaml'), policy);
}
