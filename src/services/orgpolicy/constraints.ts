/** Constraints: the list of those that a policy can configure, and the custom ones of an organization. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import { alreadyExists, invalidArgument } from '../../errors.ts';
import {
  Constraint_ConstraintDefault,
  type ConstraintSchema,
  type CustomConstraint,
  CustomConstraint_ActionType,
  CustomConstraint_MethodType,
} from '../../gen/google/cloud/orgpolicy/v2/constraint_pb.js';
import type { OrgPolicy } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { type ConstraintDefinition, isManagedConstraint, listConstraints } from '../../policy/constraint-catalogue.ts';
import { checkConstraintCondition } from '../../policy/constraint-custom.ts';
import { deleteCustomConstraint, findCustomConstraint, listCustomConstraints, updateCustomConstraint } from '../../store/custom-constraints.ts';
import type { Methods } from '../service.ts';
import { entityNotFound, getNode, nodeCheck, parseParent } from './nodes.ts';
import type { OrgPolicyDeps } from './orgpolicy.ts';

type ConstraintMethods = Pick<
  Methods<typeof OrgPolicy>,
  'listConstraints' | 'createCustomConstraint' | 'getCustomConstraint' | 'listCustomConstraints' | 'updateCustomConstraint' | 'deleteCustomConstraint'
>;

const NAME = /^(?<parent>organizations\/\d{1,20})\/customConstraints\/(?<id>[^/]+)$/;
const MAX_ID = 70;
const MAX_TYPES = 20;

export function constraintMethods({ store }: OrgPolicyDeps): ConstraintMethods {
  return {
    listConstraints: {
      access: { checks: ({ parent }) => [nodeCheck('orgpolicy.constraints.list', parseParent(parent), parent)] },
      async handle({ parent }) {
        const node = await getNode(store.read, parseParent(parent));
        return { constraints: listConstraints().map((definition) => toConstraint(definition, node.name)) };
      },
    },
    createCustomConstraint: {
      access: { checks: ({ parent }) => [nodeCheck('orgpolicy.customConstraints.create', parseOrganization(parent), parent)] },
      async handle({ parent, customConstraint }, call) {
        const constraint = checked(customConstraint);
        if (parseName(constraint.name).parent !== parent)
          throw invalidArgument('custom_constraint.name', `${JSON.stringify(constraint.name)} is not of ${parent}, which the request names as its parent.`);
        return store.write(async (tx) => {
          await getNode(tx.db, parent);
          if ((await findCustomConstraint(tx.db, constraint.name)) !== undefined) throw alreadyExists('Requested entity already exists');
          tx.touch('policies');
          return updateCustomConstraint(tx.db, parent, constraint, call.now());
        });
      },
    },
    getCustomConstraint: {
      access: { checks: ({ name }) => [nodeCheck('orgpolicy.customConstraints.get', parseName(name, 'name').parent, name)] },
      handle: async ({ name }) => existing(await findCustomConstraint(store.read, name)),
    },
    listCustomConstraints: {
      access: { checks: ({ parent }) => [nodeCheck('orgpolicy.customConstraints.list', parseOrganization(parent), parent)] },
      handle: async ({ parent }) => ({ customConstraints: await listCustomConstraints(store.read, (await getNode(store.read, parent)).name) }),
    },
    updateCustomConstraint: {
      access: {
        checks: ({ customConstraint }) => [nodeCheck('orgpolicy.customConstraints.update', parseName(customConstraint?.name ?? '').parent, customConstraint?.name ?? '')],
      },
      async handle({ customConstraint }, call) {
        const constraint = checked(customConstraint);
        const { parent } = parseName(constraint.name);
        return store.write(async (tx) => {
          const stored = existing(await findCustomConstraint(tx.db, constraint.name));
          if (stored.resourceTypes.toSorted().join() !== constraint.resourceTypes.toSorted().join())
            throw invalidArgument('custom_constraint.resource_types', `cannot be changed from ${stored.resourceTypes.join(', ')}. Delete the constraint and create another one.`);
          tx.touch('policies');
          return updateCustomConstraint(tx.db, parent, constraint, call.now());
        });
      },
    },
    deleteCustomConstraint: {
      access: { checks: ({ name }) => [nodeCheck('orgpolicy.customConstraints.delete', parseName(name, 'name').parent, name)] },
      // Its policies stay and restrict nothing any more. Source: https://docs.cloud.google.com/organization-policy/create-custom-constraints#delete
      async handle({ name }) {
        await store.write(async (tx) => {
          existing(await findCustomConstraint(tx.db, name));
          tx.touch('policies');
          await deleteCustomConstraint(tx.db, name);
        });
        return {};
      },
    },
  };
}

function toConstraint(definition: ConstraintDefinition, node: string): MessageInitShape<typeof ConstraintSchema> {
  const { id, kind, supportsIn, supportsUnder, equivalent } = definition;
  const constraintType: MessageInitShape<typeof ConstraintSchema>['constraintType'] =
    kind === 'list'
      ? { case: 'listConstraint', value: { supportsIn, supportsUnder } }
      : { case: 'booleanConstraint', value: isManagedConstraint(id) ? { customConstraintDefinition: managedDefinition(definition) } : {} };
  return {
    name: `${node}/constraints/${id}`,
    displayName: definition.displayName,
    description: definition.description,
    constraintDefault: definition.deniedByDefault ? Constraint_ConstraintDefault.DENY : Constraint_ConstraintDefault.ALLOW,
    constraintType,
    // Deviation: every constraint can be tried in a dry run, legacy ones too.
    supportsDryRun: true,
    equivalentConstraint: equivalent === undefined ? '' : `${node}/constraints/${equivalent}`,
  };
}

function managedDefinition({ parameters }: ConstraintDefinition) {
  return {
    parameters: Object.fromEntries(
      // The numbers are those of the enum Type: a list of strings, or a boolean.
      Object.entries(parameters).map(([name, { type, description }]) => [name, { type: type === 'list' ? 1 : 3, item: type === 'list' ? 2 : 0, metadata: { description } }]),
    ),
  };
}

function existing(constraint: CustomConstraint | undefined): CustomConstraint {
  if (constraint === undefined) throw entityNotFound();
  return constraint;
}

function parseOrganization(parent: string): string {
  if (!/^organizations\/\d{1,20}$/.test(parent)) throw invalidArgument('parent', `${JSON.stringify(parent)} is not valid. Write organizations/NUMBER.`);
  return parent;
}

function parseName(name: string, field = 'custom_constraint.name'): { readonly parent: string; readonly id: string } {
  const { parent, id } = NAME.exec(name)?.groups ?? {};
  if (parent === undefined || id === undefined) throw invalidArgument(field, `${JSON.stringify(name)} is not valid. Write organizations/NUMBER/customConstraints/custom.NAME.`);
  return { parent, id };
}

/** Source: google/cloud/orgpolicy/v2/constraint.proto, and https://docs.cloud.google.com/organization-policy/create-custom-constraints @throws INVALID_ARGUMENT */
function checked(constraint: CustomConstraint | undefined): CustomConstraint {
  if (constraint === undefined) throw invalidArgument('custom_constraint', 'must be set.');
  const refuse = (field: string, description: string) => invalidArgument(`custom_constraint.${field}`, description);
  const { id } = parseName(constraint.name);
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
