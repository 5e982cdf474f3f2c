/** `actas why`: whether somebody has a permission on a resource, why, and what would change that. A client of actas.v1.Explanations. */
import { type Command, Option } from 'commander';
import { type ContextFlags, checkPermission, contextOf, principalOf, resourceOf, withContext } from './access-question.ts';
import { ACTAS } from './api.ts';
import { defineCommand, onRun, type Shell, withRegion } from './command.ts';
import { drawExplanation, type Why } from './explanation-tree.ts';
import { EXIT } from './failure.ts';
import { printResource } from './format.ts';
import { collectList } from './values.ts';

interface WhyFlags extends ContextFlags {
  readonly principalSets?: readonly string[];
}

export function registerWhy(program: Command, shell: Shell): void {
  const why = withRegion(
    withContext(
      defineCommand(program, 'why <principal> <permission> <resource>', {
        summary: 'tell why somebody has a permission or not, and what would change that',
        description:
          'Draws the resources from the organization down, with the bindings and deny rules that decide, the way through groups, and the clauses of conditions; then the single changes that would grant it, the one that gives least first. Exits with 8 where the principal does not have the permission, with 7 where that cannot be told.',
        examples: [
          'actas why dev@example.com iam.serviceAccounts.actAs hello-sa@demo.iam.gserviceaccount.com',
          'actas why user:dev@example.com run.jobs.run hello --region=us-central1',
          'actas why group:team@example.com resourcemanager.projects.get projects/demo --format=json',
        ],
      }),
    ),
  ).addOption(new Option('--principal-sets <sets>', 'further members that name a federated principal: principalSet://...').argParser(collectList));
  onRun<WhyFlags>(why, shell, async (session, principal, permission, resource) => {
    const context = contextOf(session.flags);
    const body = {
      principal: principalOf(principal),
      permission: checkPermission(permission),
      fullResourceName: await resourceOf(session, resource),
      ...(context === undefined ? {} : { context }),
      ...(session.flags.principalSets === undefined ? {} : { principalSets: session.flags.principalSets }),
    };
    const answer = await (await session.api()).send<Why>('POST', ACTAS, 'access:explain', body);
    if (session.format === undefined) session.terminal.print(drawExplanation(answer).join('\n'));
    else await printResource(session.terminal, session.format, answer);
    return answer.access === 'GRANTED' ? EXIT.ok : answer.access === 'UNKNOWN_INFO' ? EXIT.untold : EXIT.no;
  });
}
