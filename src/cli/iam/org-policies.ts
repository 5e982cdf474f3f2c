/** The group `org-policies`: version 2 of the API, with conditions, dry runs and custom constraints. */
import { type Command, Option } from 'commander';
import { type Api, ORG_POLICY } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { readDocument } from '../documents.ts';
import { isApiFailure, usageFailure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { isRecord } from '../json.ts';
import { addListFlags, column, showList } from '../listing.ts';
import type { Session } from '../session.ts';
import { constraintId, type NodeFlags, nodeOf, withNode } from './org-policy-node.ts';

interface Spec {
  readonly reset?: boolean;
  readonly rules?: readonly { readonly enforce?: boolean; readonly values?: object; readonly allowAll?: boolean; readonly denyAll?: boolean }[];
}
interface Policy {
  readonly name?: string;
  readonly etag?: string;
  readonly spec?: Spec;
  readonly dryRunSpec?: Spec;
}
interface CustomConstraint {
  readonly name?: string;
  readonly actionType?: string;
  readonly methodTypes?: readonly string[];
  readonly resourceTypes?: readonly string[];
  readonly displayName?: string;
}
interface Constraint {
  readonly name?: string;
}

const EXAMPLE = 'iam.disableServiceAccountKeyCreation';
const CUSTOM = 'custom.smallJobs';
const ORGANIZATION = '111111111111';

const setMark = (isSet: boolean | undefined): string => (isSet === true ? 'SET' : '-');
const COLUMNS = [
  column<Policy>('CONSTRAINT', (policy) => policy.name?.split('/').at(-1) ?? ''),
  column<Policy>('LIST_POLICY', ({ spec }) => setMark(spec?.rules?.some((rule) => rule.enforce === undefined))),
  column<Policy>('BOOLEAN_POLICY', ({ spec }) => setMark(spec?.rules?.some((rule) => rule.enforce !== undefined))),
  column<Policy>('DRY_RUN', ({ dryRunSpec }) => setMark(dryRunSpec !== undefined)),
  column<Policy>('ETAG', (policy) => policy.etag ?? '-'),
];
const CUSTOM_COLUMNS = [
  column<CustomConstraint>('CUSTOM_CONSTRAINT', (constraint) => constraint.name?.split('/').at(-1) ?? ''),
  column<CustomConstraint>('ACTION_TYPE', (constraint) => constraint.actionType ?? ''),
  column<CustomConstraint>('METHOD_TYPES', (constraint) => (constraint.methodTypes ?? []).join(',')),
  column<CustomConstraint>('RESOURCE_TYPES', (constraint) => (constraint.resourceTypes ?? []).join(',')),
  column<CustomConstraint>('DISPLAY_NAME', (constraint) => constraint.displayName ?? ''),
];

export function registerOrgPolicies(program: Command, shell: Shell): void {
  const group = defineGroup(program, 'org-policies', 'organization policies and custom constraints');
  registerReads(group, shell);
  registerWrites(group, shell);
  registerCustomConstraints(group, shell);
}

function registerReads(group: CliCommand, shell: Shell): void {
  const describe = withNode(
    defineCommand(group, 'describe <constraint>', {
      summary: 'show the policy of a constraint',
      examples: [`actas org-policies describe ${EXAMPLE} --project=demo`, `actas org-policies describe ${EXAMPLE} --project=demo --effective`],
    }).option('--effective', 'what is in force, with everything that is inherited'),
  );
  onRun<NodeFlags & { readonly effective?: boolean }>(describe, shell, async (session, given) => {
    const name = await policyName(session, given);
    await print(session, await (await session.api()).get<Policy>(ORG_POLICY, session.flags.effective === true ? `${name}:getEffectivePolicy` : name));
  });

  const list = addListFlags(
    withNode(
      defineCommand(group, 'list', {
        summary: 'list the policies that are set',
        examples: ['actas org-policies list --project=demo', `actas org-policies list --organization=${ORGANIZATION} --show-unset`],
      }).option('--show-unset', 'constraints without a policy as well'),
    ),
  );
  onRun<NodeFlags & ListFlags & { readonly showUnset?: boolean }>(list, shell, async (session) => {
    const node = await nodeOf(session);
    const api = await session.api();
    const policies: Policy[] = await api.list<Policy>(ORG_POLICY, `${node}/policies`, 'policies');
    if (session.flags.showUnset === true) {
      const set = new Set(policies.map(({ name }) => name?.split('/').at(-1)));
      for (const { name = '' } of await api.list<Constraint>(ORG_POLICY, `${node}/constraints`, 'constraints'))
        if (!set.has(name.split('/').at(-1))) policies.push({ name: name.replace('/constraints/', '/policies/') });
    }
    await showList(session, policies, COLUMNS, 'No policies are set here.');
  });
}

function registerWrites(group: CliCommand, shell: Shell): void {
  const set = defineCommand(group, 'set-policy <file>', {
    summary: 'create a policy, or replace it, from a JSON or YAML file',
    description:
      'Creates a policy, or replaces it, from a JSON or YAML file that has its name (projects/demo/policies/CONSTRAINT), its spec, its dryRunSpec or both; - reads from stdin.',
    examples: ['actas org-policies set-policy policy.yaml', 'actas org-policies set-policy policy.yaml --update-mask=policy.dry_run_spec'],
  }).addOption(new Option('--update-mask <field>', 'what is replaced of a policy that exists').choices(['policy.spec', 'policy.dry_run_spec', '*']));
  onRun<{ readonly updateMask?: string }>(set, shell, async (session, file) => {
    await session.project();
    const document = await readDocument(session, file);
    const name = isRecord(document) ? document['name'] : undefined;
    if (!isRecord(document) || typeof name !== 'string' || !/^[^/]+\/[^/]+\/policies\/[^/]+$/.test(name))
      throw usageFailure(`${file} does not hold a policy with a name.`, 'Begin it with a line such as  name: projects/demo/policies/iam.disableServiceAccountCreation');
    await putPolicy(session, { ...document, name }, session.flags.updateMask);
  });

  const reset = withNode(
    defineCommand(group, 'reset <constraint>', {
      summary: "restore a constraint's default, whatever is set above",
      examples: [`actas org-policies reset ${EXAMPLE} --project=demo`],
    }),
  );
  onRun<NodeFlags>(reset, shell, async (session, given) => {
    await putPolicy(session, { name: await policyName(session, given), spec: { reset: true } }, 'policy.spec');
  });

  const remove = withNode(
    defineCommand(group, 'delete <constraint>', {
      summary: 'delete a policy: what is above it, or the default, is in force then',
      examples: [`actas org-policies delete ${EXAMPLE} --project=demo`],
    }),
  );
  onRun<NodeFlags>(remove, shell, async (session, given) => {
    const name = await policyName(session, given);
    await (await session.api()).send('DELETE', ORG_POLICY, name);
    session.terminal.note(`Deleted policy [${name}].`);
  });
}

/** Replaces the policy under the etag of now, or that of the file; where there is none, creates it. */
async function putPolicy(session: Session, policy: Policy & { readonly name: string }, updateMask: string | undefined): Promise<void> {
  const api = await session.api();
  const { name } = policy;
  const stored = await findEntity<Policy>(api, name);
  const parent = name.split('/').slice(0, 2).join('/');
  const written =
    stored === undefined
      ? await api.send<Policy>('POST', ORG_POLICY, `${parent}/policies`, policy)
      : await api.send<Policy>('PATCH', ORG_POLICY, name, { ...policy, etag: policy.etag ?? stored.etag }, { updateMask });
  session.terminal.note(`${stored === undefined ? 'Created' : 'Updated'} policy [${written.name ?? name}].`);
  await print(session, written);
}

function registerCustomConstraints(group: CliCommand, shell: Shell): void {
  const set = defineCommand(group, 'set-custom-constraint <file>', {
    summary: 'create a custom constraint, or replace it, from a JSON or YAML file',
    description:
      'Creates a custom constraint, or replaces it, from a JSON or YAML file with name, resourceTypes, methodTypes, condition and actionType; - reads from stdin. A policy has to enforce it.',
    examples: ['actas org-policies set-custom-constraint constraint.yaml'],
  });
  onRun(set, shell, async (session, file) => {
    await session.project();
    const document = await readDocument(session, file);
    const name = isRecord(document) ? document['name'] : undefined;
    if (!isRecord(document) || typeof name !== 'string' || !/^organizations\/[^/]+\/customConstraints\/[^/]+$/.test(name))
      throw usageFailure(`${file} does not hold a custom constraint with a name.`, `Begin it with a line such as  name: organizations/${ORGANIZATION}/customConstraints/${CUSTOM}`);
    const api = await session.api();
    const stored = await findEntity<CustomConstraint>(api, name);
    const [parent] = name.split('/customConstraints/');
    const written =
      stored === undefined
        ? await api.send<CustomConstraint>('POST', ORG_POLICY, `${parent}/customConstraints`, document)
        : await api.send<CustomConstraint>('PATCH', ORG_POLICY, name, document);
    session.terminal.note(`${stored === undefined ? 'Created' : 'Updated'} custom constraint [${name.split('/').at(-1)}].`);
    await print(session, written);
  });

  const describe = withOrganization(group, 'describe-custom-constraint <constraint>', 'show a custom constraint', `actas org-policies describe-custom-constraint ${CUSTOM}`);
  onRun<NodeFlags>(describe, shell, async (session, given) => {
    const name = await customName(session, given);
    await print(session, await (await session.api()).get<CustomConstraint>(ORG_POLICY, name));
  });

  const list = addListFlags(withOrganization(group, 'list-custom-constraints', "list an organization's custom constraints", 'actas org-policies list-custom-constraints'));
  onRun<NodeFlags & ListFlags>(list, shell, async (session) => {
    const parent = await organizationOf(session);
    const found = await (await session.api()).list<CustomConstraint>(ORG_POLICY, `${parent}/customConstraints`, 'customConstraints');
    await showList(session, found, CUSTOM_COLUMNS, 'No custom constraints here.');
  });

  const remove = withOrganization(
    group,
    'delete-custom-constraint <constraint>',
    'delete a custom constraint; its policies restrict nothing any more',
    `actas org-policies delete-custom-constraint ${CUSTOM}`,
  );
  onRun<NodeFlags>(remove, shell, async (session, given) => {
    const name = await customName(session, given);
    await (await session.api()).send('DELETE', ORG_POLICY, name);
    session.terminal.note(`Deleted custom constraint [${name.split('/').at(-1)}].`);
  });
}

function withOrganization(group: CliCommand, nameAndArgs: string, summary: string, example: string): CliCommand {
  return defineCommand(group, nameAndArgs, { summary, examples: [`${example} --organization=${ORGANIZATION}`] }).option('--organization <id>', 'the organization that has it');
}

async function organizationOf(session: Session<NodeFlags>): Promise<string> {
  await session.project();
  return `organizations/${requiredFlag(session.flags.organization, '--organization <id>').replace(/^organizations\//, '')}`;
}

async function customName(session: Session<NodeFlags>, given: string): Promise<string> {
  return `${await organizationOf(session)}/customConstraints/${constraintId(given)}`;
}

async function policyName(session: Session<NodeFlags>, given: string): Promise<string> {
  return `${await nodeOf(session)}/policies/${constraintId(given)}`;
}

async function findEntity<T extends object>(api: Api, name: string): Promise<T | undefined> {
  try {
    return await api.get<T>(ORG_POLICY, name);
  } catch (error) {
    if (isApiFailure(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

async function print(session: Session, resource: object): Promise<void> {
  await printResource(session.terminal, session.format ?? parseFormat('yaml'), resource);
}
