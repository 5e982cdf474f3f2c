/** lintPolicy: what is wrong with a condition before it stands in a policy, or will surprise there. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalidArgument } from '../../errors.ts';
import { type IAM, LintResult_Level, LintResult_Severity, type LintResultSchema } from '../../gen/google/iam/admin/v1/iam_pb.js';
import { resourceAttributes } from '../../policy/attributes.ts';
import { CelIssue } from '../../policy/cel/program.ts';
import { type Condition, compileCondition } from '../../policy/condition.ts';
import type { Methods } from '../service.ts';
import { parsePermissionTarget } from './known-permissions.ts';

type LintInit = MessageInitShape<typeof LintResultSchema>;

export function lintMethods(): Pick<Methods<typeof IAM>, 'lintPolicy'> {
  return {
    lintPolicy: {
      access: { authenticated: true, why: 'Looks at the condition in the request alone, and at nothing that is stored.' },
      async handle({ fullResourceName, lintObject }) {
        if (fullResourceName !== '' && parsePermissionTarget(fullResourceName) === undefined)
          throw invalidArgument(
            'full_resource_name',
            `${JSON.stringify(fullResourceName)} is not a full resource name. Write for example //cloudresourcemanager.googleapis.com/projects/my-project.`,
          );
        if (lintObject.case !== 'condition') throw invalidArgument('condition', 'required field not present.');
        const { expression, title } = lintObject.value;
        const results: LintInit[] = [];
        if (title === '') results.push(finding('ConditionTitleCheck', 'ERROR', 'condition.title', 'A condition needs a title.'));
        const compiled = expression.trim() === '' ? new CelIssue('A condition needs an expression.') : compileCondition(expression);
        if (compiled instanceof CelIssue)
          results.push({ ...finding('ConditionCompileCheck', 'ERROR', 'condition.expression', compiled.message), locationOffset: compiled.offset ?? 0 });
        else results.push(...unoffered(compiled, fullResourceName));
        return { lintResults: results };
      },
    },
  };
}

function finding(unit: string, severity: 'ERROR' | 'WARNING', fieldName: string, debugMessage: string): LintInit {
  return { level: LintResult_Level.CONDITION, validationUnitName: `lintValidationUnits/${unit}`, severity: LintResult_Severity[severity], fieldName, debugMessage };
}

/** The commonest surprise: an attribute that the resource does not offer, on which nothing is ever granted. */
function unoffered(condition: Condition, fullName: string): LintInit[] {
  // A project's own policy is for everything in the project, where some things may offer it.
  if (parsePermissionTarget(fullName)?.kind !== 'other') return [];
  const offered = new Set(Object.keys(resourceAttributes(fullName, { id: '0', number: '0' })).map((name) => `resource.${name}`));
  return ['resource.name', 'resource.type', 'resource.service']
    .filter((name) => condition.names.has(name) && !offered.has(name))
    .map((name) => finding('ConditionAttributeCheck', 'WARNING', 'condition.expression', `${fullName} does not offer ${name}: what depends on it never grants.`));
}
