/** Constraints: the list of those that a policy can configure, and the custom ones of an organization. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import { alreadyExists, invalidArgument } from '../../errors.ts';
import { Constraint_ConstraintDefault, type ConstraintSchema, type CustomConstraint } from '../../gen/google/cloud/orgpolicy/v2/constraint_pb.js';
import type { OrgPolicy } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { type ConstraintDefinition, isManagedConstraint, listConstraints } from '../../policy/constraint-catalogue.ts';
import { deleteCustomConstraint, findCustomConstraint, listCustomConstraints, updateCustomConstraint } from '../../store/custom-constraints.ts';
import type { Methods } from '../service.ts';
import { checkCustomConstraint, parseCustomName } from './check-custom-constraint.ts';
import { entityNotFound, getNode, nodeCheck, parseParent } from './nodes.ts';
import type { OrgPolicyDeps } from './orgpolicy.ts';

type ConstraintMethods = Pick<
  Methods<typeof OrgPolicy>,
  'listConstraints' | 'createCustomConstraint' | 'getCustomConstraint' | 'listCustomConstraints' | 'updateCustomConstraint' | 'deleteCustomConstraint'
>;

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
        const constraint = checkCustomConstraint(customConstraint);
        if (parseCustomName(constraint.name).parent !== parent)
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
      access: { checks: ({ name }) => [nodeCheck('orgpolicy.customConstraints.get', parseCustomName(name, 'name').parent, name)] },
      handle: async ({ name }) => existing(await findCustomConstraint(store.read, name)),
    },
    listCustomConstraints: {
      access: { checks: ({ parent }) => [nodeCheck('orgpolicy.customConstraints.list', parseOrganization(parent), parent)] },
      handle: async ({ parent }) => ({ customConstraints: await listCustomConstraints(store.read, (await getNode(store.read, parent)).name) }),
    },
    updateCustomConstraint: {
      access: {
        checks: ({ customConstraint }) => [nodeCheck('orgpolicy.customConstraints.update', parseCustomName(customConstraint?.name ?? '').parent, customConstraint?.name ?? '')],
      },
      async handle({ customConstraint }, call) {
        const constraint = checkCustomConstraint(customConstraint);
        const { parent } = parseCustomName(constraint.name);
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
      access: { checks: ({ name }) => [nodeCheck('orgpolicy.customConstraints.delete', parseCustomName(name, 'name').parent, name)] },
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
