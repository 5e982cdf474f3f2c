/** `actas who-can`: everybody who has a permission on a resource, and by which way. A client of actas.v1.Explanations. */
import type { Command } from 'commander';
import { type ContextFlags, checkPermission, contextOf, resourceOf, withContext } from './access-question.ts';
import { ACTAS } from './api.ts';
import { defineCommand, onRun, type Shell, withRegion } from './command.ts';
import { type ConditionResult, printable, shortResource } from './explanation-tree.ts';
import { printResource } from './format.ts';

interface Way {
  readonly role?: string;
  readonly fullResourceName?: string;
  readonly path?: readonly string[];
  readonly conditionResult?: ConditionResult;
}
interface Holder {
  readonly member?: string;
  readonly isSet?: boolean;
  readonly access?: string;
  readonly deniedBy?: string;
  readonly ways?: readonly Way[];
}
interface Answer {
  readonly permission?: string;
  readonly fullResourceName?: string;
  readonly holders?: readonly Holder[];
  readonly allowPoliciesHidden?: boolean;
  readonly denyPoliciesHidden?: boolean;
  readonly unevaluatedRoles?: readonly { readonly role?: string; readonly fullResourceName?: string }[];
}

export function registerWhoCan(program: Command, shell: Shell): void {
  const whoCan = withRegion(
    withContext(
      defineCommand(program, 'who-can <permission> <resource>', {
        summary: 'list who has a permission on a resource, and by which binding',
        examples: [
          'actas who-can iam.serviceAccounts.actAs hello-sa@demo.iam.gserviceaccount.com',
          'actas who-can run.jobs.run hello --region=us-central1',
          'actas who-can resourcemanager.projects.setIamPolicy projects/demo --format=yaml',
        ],
      }),
    ),
  );
  onRun<ContextFlags>(whoCan, shell, async (session, permission, resource) => {
    const context = contextOf(session.flags);
    const body = { permission: checkPermission(permission), fullResourceName: await resourceOf(session, resource), ...(context === undefined ? {} : { context }) };
    const answer = await (await session.api()).send<Answer>('POST', ACTAS, 'access:listHolders', body);
    if (session.format !== undefined) return printResource(session.terminal, session.format, answer);
    session.terminal.print(drawHolders(answer).join('\n'));
  });
}

export function drawHolders({ permission = '', fullResourceName = '', holders = [], allowPoliciesHidden, denyPoliciesHidden, unevaluatedRoles = [] }: Answer): string[] {
  const groups: readonly (readonly [string, readonly Holder[]])[] = [
    [`Who has ${permission} on ${shortResource(fullResourceName)}:`, holders.filter(({ access }) => access === 'GRANTED')],
    ['Who may have it, as far as you may read:', holders.filter(({ access }) => access === 'UNKNOWN_INFO' || access === 'UNKNOWN_CONDITIONAL')],
    ['Who is bound to it and does not have it now:', holders.filter(({ access }) => access === 'NOT_GRANTED')],
  ];
  const lines = groups.flatMap(([title, members]) => (members.length === 0 ? [] : [title, ...members.flatMap(drawHolder), '']));
  if (holders.length === 0)
    lines.push(
      allowPoliciesHidden === true
        ? `You may not read who has ${permission} on ${shortResource(fullResourceName)}, or there is no such resource.`
        : `Nobody has ${permission} on ${shortResource(fullResourceName)}.`,
      '',
    );
  for (const { role = '', fullResourceName: at = '' } of unevaluatedRoles)
    lines.push(`? ${role}, bound on ${shortResource(at)}, is not known here: whether it holds the permission cannot be told.`);
  if (holders.length > 0 && allowPoliciesHidden === true) lines.push('? There may be more: some allow policies are not yours to read.');
  if (holders.length > 0 && denyPoliciesHidden === true) lines.push('? There may be fewer: some deny policies are not yours to read.');
  while (lines.at(-1) === '') lines.pop();
  return lines.map(printable);
}

function drawHolder({ member = '', isSet, deniedBy = '', ways = [] }: Holder): string[] {
  return [
    `  ${member}${isSet === true && member.startsWith('group:') ? ' (whoever is in it)' : ''}${deniedBy === '' ? '' : `, denied by ${deniedBy.split('/').at(-1) ?? ''}`}`,
    ...ways.map(({ role = '', fullResourceName = '', path = [], conditionResult }) => {
      const through = path.length > 1 ? `, through ${path.slice(1).join(' > ')}` : '';
      const condition =
        conditionResult === undefined
          ? ''
          : conditionResult.result === 'true'
            ? ', under a condition that is true now'
            : `, under a condition that ${conditionResult.result === 'false' ? 'is false now' : 'cannot be evaluated'}`;
      return `      ${role} on ${shortResource(fullResourceName)}${through}${condition}`;
    }),
  ];
}
