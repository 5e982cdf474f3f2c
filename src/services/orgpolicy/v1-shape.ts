/** Policies and constraints of version 1, as Resource Manager shows them, and their way from and to what is stored. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { invalidArgument } from '../../errors.ts';
import { type Policy, PolicySchema, type PolicySpec, type PolicySpecSchema } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import {
  Constraint_ConstraintDefault,
  type ConstraintSchema,
  ListPolicy_AllValues,
  type OrgPolicy,
  type OrgPolicySchema,
} from '../../gen/google/cloudresourcemanager/v1/org_policies_pb.js';
import type { ConstraintDefinition } from '../../policy/constraint-catalogue.ts';

const PREFIX = 'constraints/';
/** What a policy that is not set has for an etag, so that a read and a write that follow each other fit. */
const UNSET_ETAG = 'ACAB';

/** @returns without its prefix, which may be missing @throws INVALID_ARGUMENT */
export function parseConstraint(name: string, field: string): string {
  const id = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
  if (!/^[a-zA-Z][a-zA-Z0-9_.]{0,127}$/.test(id))
    throw invalidArgument(field, `${JSON.stringify(name)} is not valid. Write constraints/NAME: constraints/iam.disableServiceAccountCreation.`);
  return id;
}

export function etagOf(policy: Policy | undefined): string {
  return policy?.etag ?? UNSET_ETAG;
}

export function etagText(etag: Uint8Array): string {
  return Buffer.from(etag).toString('base64');
}

/** @param kind of the constraint @param etag undefined for what is in force */
export function toV1(id: string, kind: 'boolean' | 'list', spec: PolicySpec | undefined, etag: string | undefined): MessageInitShape<typeof OrgPolicySchema> {
  return {
    constraint: `${PREFIX}${id}`,
    ...(etag === undefined ? {} : { etag: new Uint8Array(Buffer.from(etag, 'base64')) }),
    ...(spec?.updateTime === undefined ? {} : { updateTime: spec.updateTime }),
    ...(spec === undefined ? {} : { policyType: typeOf(kind, spec) }),
  };
}

/** This version has no conditions: rules that have one are left out. */
function typeOf(kind: 'boolean' | 'list', { rules, reset, inheritFromParent }: PolicySpec): MessageInitShape<typeof OrgPolicySchema>['policyType'] {
  if (reset) return { case: 'restoreDefault', value: {} };
  const plain = rules.filter(({ condition }) => condition === undefined).map((rule) => rule.kind);
  if (kind === 'boolean') return { case: 'booleanPolicy', value: { enforced: plain.some((one) => one.case === 'enforce' && one.value) } };
  const values = plain.flatMap((one) => (one.case === 'values' ? [one.value] : []));
  const all = plain.some((one) => one.case === 'denyAll') ? ListPolicy_AllValues.DENY : plain.some((one) => one.case === 'allowAll') ? ListPolicy_AllValues.ALLOW : undefined;
  return {
    case: 'listPolicy',
    value: {
      allowedValues: values.flatMap(({ allowedValues }) => allowedValues),
      deniedValues: values.flatMap(({ deniedValues }) => deniedValues),
      ...(all === undefined ? {} : { allValues: all }),
      inheritFromParent,
    },
  };
}

/** @throws INVALID_ARGUMENT for what no policy of this version may say */
export function fromV1(policy: OrgPolicy): Policy {
  return create(PolicySchema, { spec: specOf(policy) });
}

function specOf({ policyType }: OrgPolicy): MessageInitShape<typeof PolicySpecSchema> {
  switch (policyType.case) {
    case 'restoreDefault':
      return { reset: true };
    case 'booleanPolicy':
      return { rules: [{ kind: { case: 'enforce', value: policyType.value.enforced } }] };
    case 'listPolicy': {
      const { allowedValues, deniedValues, allValues, inheritFromParent } = policyType.value;
      const hasValues = allowedValues.length + deniedValues.length > 0;
      if (allValues !== ListPolicy_AllValues.ALL_VALUES_UNSPECIFIED && hasValues)
        throw invalidArgument('policy.list_policy', 'has all_values and values. Set all_values, or allowed_values and denied_values.');
      const kind =
        allValues === ListPolicy_AllValues.ALLOW
          ? ({ case: 'allowAll', value: true } as const)
          : allValues === ListPolicy_AllValues.DENY
            ? ({ case: 'denyAll', value: true } as const)
            : ({ case: 'values', value: { allowedValues, deniedValues } } as const);
      return { inheritFromParent, rules: kind.case === 'values' && !hasValues ? [] : [{ kind }] };
    }
    default:
      throw invalidArgument('policy', 'says nothing. Set boolean_policy, list_policy or restore_default.');
  }
}

export function toV1Constraint({
  id,
  displayName,
  description,
  deniedByDefault,
  kind,
  supportsIn,
  supportsUnder,
}: ConstraintDefinition): MessageInitShape<typeof ConstraintSchema> {
  return {
    name: `${PREFIX}${id}`,
    displayName,
    description,
    constraintDefault: deniedByDefault ? Constraint_ConstraintDefault.DENY : Constraint_ConstraintDefault.ALLOW,
    constraintType: kind === 'list' ? { case: 'listConstraint', value: { supportsIn, supportsUnder } } : { case: 'booleanConstraint', value: {} },
  };
}
