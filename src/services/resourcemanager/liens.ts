/**
 * Liens: each keeps its project from being deleted until it is removed. One is placed by IAM when a project's accounts may be used in other
 * projects; an organization may say that only those who hold the permission on the organization itself remove that one.
 * Sources: the discovery document of Resource Manager v1; https://docs.cloud.google.com/iam/docs/attach-service-accounts
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { invalidRequest, notFound } from '../../errors.ts';
import { type Lien, LienSchema, Liens } from '../../gen/google/cloudresourcemanager/v1/liens_pb.js';
import type { Db } from '../../store/database.ts';
import { listAncestors } from '../../store/hierarchy.ts';
import { CROSS_PROJECT_ORIGIN, deleteLien, findLien, insertLien, type LienRow, listLiens, PROJECT_DELETE } from '../../store/liens.ts';
import { toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Call, type Check, defineService } from '../service.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, type ResourceManagerDeps } from './node-policies.ts';
import { getProject } from './project-changes.ts';
import { visiblePage } from './visible-page.ts';
import { plainDenied } from './words.ts';

const UPDATE = 'resourcemanager.projects.updateLiens';
const READ = 'resourcemanager.projects.get';
const RESTRICTED = 'iam.restrictCrossProjectServiceAccountLienRemoval';
const MAX_TEXT = 200;

export function createLiensService(deps: ResourceManagerDeps): AnyService {
  const { store } = deps;
  return defineService<typeof Liens>({
    desc: Liens,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: true,
    denied: plainDenied,
    methods: {
      createLien: {
        access: { checks: ({ lien }) => [parentCheck(UPDATE, lien?.parent ?? '')] },
        handle: ({ lien }, call) =>
          store.write(async (tx) => {
            const given = checkLien(lien ?? create(LienSchema));
            const project = await getProject(tx.db, parseParent(given.parent));
            const { restrictions, reason, origin } = given;
            return toLien(await insertLien(tx.db, { parent: `projects/${project.number}`, restrictions, reason, origin, createTime: call.now() }));
          }),
      },
      getLien: {
        access: { checks: ({ name }) => [nameCheck(READ, name)] },
        handle: async ({ name }) => toLien(await getLien(store.read, name)),
      },
      listLiens: {
        access: { checks: ({ parent }) => [parentCheck(READ, parent)] },
        async handle(request) {
          const { number } = await getProject(store.read, parseParent(request.parent));
          const parent = `projects/${number}`;
          const page = await visiblePage<LienRow>({
            query: ['liens', parent],
            request,
            read: (after, limit) => listLiens(store.read, { parent, after, limit }),
            keyOf: ({ name }) => name,
            isVisible: () => true,
          });
          return { liens: page.rows.map(toLien), nextPageToken: page.nextPageToken };
        },
      },
      deleteLien: {
        access: { checks: ({ name }) => [nameCheck(UPDATE, name)] },
        async handle({ name }, call) {
          await authorizeRemoval(deps, await getLien(store.read, name), call);
          await store.write(async ({ db }) => deleteLien(db, (await getLien(db, name)).name));
          return {};
        },
      },
    },
  });
}

/** @throws PERMISSION_DENIED where the lien of cross-project use is protected, and the caller's permission does not come from the organization */
async function authorizeRemoval({ store, orgPolicies }: ResourceManagerDeps, lien: LienRow, call: Call): Promise<void> {
  if (lien.origin !== CROSS_PROJECT_ORIGIN) return;
  const project = await getProject(store.read, numberOf(lien.parent));
  if (!(await orgPolicies.isEnforced(RESTRICTED, nodeResource({ kind: 'projects', id: project.project_id }), call.principal))) return;
  const top = (await listAncestors(store.read, project.parent)).at(-1);
  if (top?.startsWith('organizations/') === true) await call.authorize(nodeCheck(UPDATE, parseNode(top, ['organizations'])));
}

function parentCheck(permission: string, parent: string): Check {
  return nodeCheck(permission, { kind: 'projects', id: parseParent(parent) });
}

/** A lien's name says which project it is on, so that whether it exists need not be known to refuse it. */
function nameCheck(permission: string, name: string): Check {
  const number = /^liens\/p(\d{1,20})-l[0-9a-f-]{1,64}$/.exec(name)?.[1];
  if (number === undefined)
    throw invalidRequest(`name: ${JSON.stringify(name)} is not the name of a lien. Write liens/ID, as listing the liens shows it.`, [
      { field: 'name', description: 'must be liens/ID' },
    ]);
  return nodeCheck(permission, { kind: 'projects', id: number });
}

/** @returns id or number */
function parseParent(parent: string): string {
  return parseNode(parent, ['projects'], 'parent').id;
}

function numberOf(parent: string): string {
  return parent.slice('projects/'.length);
}

async function getLien(db: Db, name: string): Promise<LienRow> {
  const row = await findLien(db, name);
  if (row === undefined) throw notFound(`Lien '${name}' was not found.`);
  return row;
}

/** @throws INVALID_ARGUMENT */
function checkLien(lien: Lien): Lien {
  if (lien.restrictions.length === 0)
    throw invalidRequest(`restrictions: a lien that restricts nothing has no meaning. Give ["${PROJECT_DELETE}"].`, [{ field: 'restrictions', description: 'must not be empty' }]);
  for (const restriction of lien.restrictions)
    if (restriction !== PROJECT_DELETE)
      throw invalidRequest(`restrictions: ${JSON.stringify(restriction)} is not supported. Liens restrict ${PROJECT_DELETE} alone.`, [
        { field: 'restrictions', description: `must be ${PROJECT_DELETE}` },
      ]);
  for (const field of ['reason', 'origin'] as const)
    if (lien[field].length > MAX_TEXT)
      throw invalidRequest(`${field}: must have at most ${MAX_TEXT} characters, but has ${lien[field].length}.`, [{ field, description: `at most ${MAX_TEXT} characters` }]);
  return lien;
}

function toLien(row: LienRow): MessageInitShape<typeof LienSchema> {
  const restrictions: unknown = JSON.parse(row.restrictions);
  return {
    name: row.name,
    parent: row.parent,
    restrictions: Array.isArray(restrictions) ? restrictions.map(String) : [],
    reason: row.reason,
    origin: row.origin,
    createTime: toTimestamp(row.create_time),
  };
}
