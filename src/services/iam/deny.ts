/** What the folder serves of google.iam.v2: deny policies and their operations. */
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import { CelIssue } from '../../policy/cel/program.ts';
import { compileDenialCondition } from '../../policy/condition.ts';
import type { Store } from '../../store/database.ts';
import type { AnyService } from '../service.ts';
import { createDenyOperationsService } from './deny-operations.ts';
import { createDenyPolicyService } from './deny-policies.ts';
import { createKnownPermissions } from './known-permissions.ts';

export function createDenyServices({ store, catalogue }: { readonly store: Store; readonly catalogue: Pick<RoleCatalogue, 'role' | 'roles'> }): readonly AnyService[] {
  const known = createKnownPermissions(catalogue);
  return [createDenyPolicyService({ store, known, conditionFault }), createDenyOperationsService({ store })];
}

function conditionFault(expression: string): string | undefined {
  const compiled = compileDenialCondition(expression);
  return compiled instanceof CelIssue ? compiled.message : undefined;
}
