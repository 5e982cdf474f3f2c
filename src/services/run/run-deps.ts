import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { ConstraintChecks } from '../../policy/constraint-checks.ts';
import type { OrgPolicies } from '../../policy/org-policy.ts';
import type { Store } from '../../store/database.ts';
import type { AskedCheck } from '../service.ts';

/** What the Cloud Run services are built from. */
export interface RunDeps {
  readonly store: Store;
  /** Asked whether a project's accounts may be used in others. */
  readonly orgPolicies: Pick<OrgPolicies, 'isEnforced'>;
  /** What organization policies say about jobs and about grants on them; without it nothing is refused. */
  readonly constraints?: Pick<ConstraintChecks, 'jobRefusals' | 'grants'>;
  /** Warns of roles in a job's policy that it lacks; without it nobody is warned. */
  readonly catalogue?: Pick<RoleCatalogue, 'role'>;
  /** Quotas for one project and region, off unless given. The real ones are 1000 each. */
  readonly limits?: { readonly jobsPerRegion?: number; readonly runningExecutionsPerRegion?: number };
  /** Five characters of `[a-z0-9]` that tell an execution from the job's others; random unless given. */
  readonly executionSuffix?: () => string;
}

/** The words of a denial, in every version of the API. */
export const DENIED = ({ permission, asked }: AskedCheck): string => `Permission '${permission}' denied on resource '${asked}' (or resource may not exist).`;
