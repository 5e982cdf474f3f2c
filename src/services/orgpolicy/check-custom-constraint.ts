/** The rules of a custom constraint that is about to be kept. */
import { invalidArgument } from '../../errors.ts';
import { type CustomConstraint, CustomConstraint_ActionType, CustomConstraint_MethodType } from '../../gen/google/cloud/orgpolicy/v2/constraint_pb.js';
import { checkConstraintCondition } from '../../policy/constraint-custom.ts';

const NAME = /^(?<parent>organizations\/\d{1,20})\/customConstraints\/(?<id>[^/]+)$/;
const MAX_ID = 70;
const MAX_TYPES = 20;

/** @throws INVALID_ARGUMENT */
export function parseCustomName(name: string, field = 'custom_constraint.name'): { readonly parent: string; readonly id: string } {
  const { parent, id } = NAME.exec(name)?.groups ?? {};
  if (parent === undefined || id === undefined) throw invalidArgument(field, `${JSON.stringify(name)} is not valid. Write organizations/NUMBER/customConstraints/custom.NAME.`);
  return { parent, id };
}

/** Source: google/cloud/orgpolicy/v2/constraint.proto, and https://docs.cloud.google.com/organization-policy/create-custom-constraints @throws INVALID_ARGUMENT */
export function checkCustomConstraint(constraint: CustomConstraint | undefined): CustomConstraint {
  if (constraint === undefined) throw invalidArgument('custom_constraint', 'must be set.');
  const refuse = (field: string, description: string) => invalidArgument(`custom_constraint.${field}`, description);
  const { id } = parseCustomName(constraint.name);
  if (!/^custom\.[A-Za-z0-9]+$/.test(id) || id.length > MAX_ID)
    throw refuse('name', `${JSON.stringify(id.slice(0, 100))} must be custom. and letters and digits, ${MAX_ID} characters at most.`);
  const { resourceTypes, methodTypes, actionType, condition, displayName, description } = constraint;
  if (resourceTypes.length === 0 || resourceTypes.length > MAX_TYPES)
    throw refuse('resource_types', `must name 1 to ${MAX_TYPES} types, such as run.googleapis.com/Job, but names ${resourceTypes.length}.`);
  const odd = resourceTypes.find((type) => !/^[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)*\.googleapis\.com\/[A-Za-z]\w*$/.test(type));
  if (odd !== undefined) throw refuse('resource_types', `${JSON.stringify(odd)} is not of the form SERVICE/TYPE: run.googleapis.com/Job.`);
  if (methodTypes.length === 0) throw refuse('method_types', 'must name at least one of CREATE, UPDATE, REMOVE_GRANT and GOVERN_TAGS.');
  if (methodTypes.some((type) => CustomConstraint_MethodType[type] === undefined || type === CustomConstraint_MethodType.METHOD_TYPE_UNSPECIFIED))
    throw refuse('method_types', 'has a value that is none of CREATE, UPDATE, REMOVE_GRANT and GOVERN_TAGS.');
  if (methodTypes.includes(CustomConstraint_MethodType.DELETE)) throw refuse('method_types', 'cannot be DELETE, which is not supported.');
  if (methodTypes.every((type) => type === CustomConstraint_MethodType.UPDATE)) throw refuse('method_types', 'cannot be UPDATE alone. Write CREATE, or CREATE and UPDATE.');
  if (actionType !== CustomConstraint_ActionType.ALLOW && actionType !== CustomConstraint_ActionType.DENY) throw refuse('action_type', 'must be ALLOW or DENY.');
  if (displayName.length > 200) throw refuse('display_name', `has ${displayName.length} characters, and may have at most 200.`);
  if (description.length > 2000) throw refuse('description', `has ${description.length} characters, and may have at most 2000.`);
  const fault = checkConstraintCondition(condition);
  if (fault !== undefined) throw refuse('condition', fault);
  return constraint;
}
