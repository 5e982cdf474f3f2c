/** What organization policies say about one resource, for the services that have to ask. */

/** A list constraint's values where it is asked about. A denied value beats an allowed one; with `all` the sets are empty. */
export interface ConstraintValues {
  readonly all: 'allow' | 'deny' | undefined;
  readonly allowed: ReadonlySet<string>;
  readonly denied: ReadonlySet<string>;
}

export interface OrgPolicies {
  /**
   * Whether a boolean or managed constraint is enforced.
   * @param constraint without `constraints/`: `iam.disableServiceAccountCreation`
   * @param resource full resource name of a project, folder or organization, or of something in one; rules with conditions look at its own tags and those it inherits
   */
  isEnforced(constraint: string, resource: string): Promise<boolean>;
  /** Whether a list constraint lets a value be used. */
  isValueAllowed(constraint: string, resource: string, value: string): Promise<boolean>;
  values(constraint: string, resource: string): Promise<ConstraintValues>;
}

/**
 * Constraints that are enforced, or deny every value, where no policy says otherwise.
 * Source: https://docs.cloud.google.com/organization-policy/reference/org-policy-constraints
 */
const DENIED_BY_DEFAULT: ReadonlySet<string> = new Set([
  'iam.disableCrossProjectServiceAccountUsage',
  'iam.allowServiceAccountCredentialLifetimeExtension',
  'iam.managed.disableServiceAccountApiKeyCreation',
]);

/** The constraints' defaults, as long as no policies are served. */
export function defaultOrgPolicies(): OrgPolicies {
  const isDenied = (constraint: string) => DENIED_BY_DEFAULT.has(constraint);
  return {
    isEnforced: async (constraint) => isDenied(constraint),
    isValueAllowed: async (constraint) => !isDenied(constraint),
    values: async (constraint) => ({ all: isDenied(constraint) ? 'deny' : 'allow', allowed: new Set(), denied: new Set() }),
  };
}
