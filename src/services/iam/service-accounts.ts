/** The methods of google.iam.admin.v1.IAM on service accounts themselves; their policies are in policies.ts. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { alreadyExists, failedPrecondition, invalidRequest, notFound } from '../../errors.ts';
import { type IAM, ListServiceAccountsResponseSchema, type ServiceAccountSchema } from '../../gen/google/iam/admin/v1/iam_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import type { ConstraintChecks } from '../../policy/constraint-checks.ts';
import type { Db, Store } from '../../store/database.ts';
import { findProject } from '../../store/projects.ts';
import {
  deleteServiceAccount,
  findDeletedServiceAccount,
  findServiceAccount,
  listServiceAccounts,
  type ServiceAccountRow,
  undeleteServiceAccount,
  updateServiceAccount,
} from '../../store/service-accounts.ts';
import { MICROS_PER_SECOND } from '../../timestamp.ts';
import type { Call, Check, Lookup, Methods } from '../service.ts';
import { checkAccountId, checkTexts, createServiceAccount } from './create-service-account.ts';
import { parseAccountName, parseProjectName } from './names.ts';

const UNDELETE_MICROS = 30 * 24 * 3600 * MICROS_PER_SECOND;

type IamMethods = Methods<typeof IAM>;
type ContentMethods = Pick<IamMethods, 'createServiceAccount' | 'getServiceAccount' | 'listServiceAccounts' | 'patchServiceAccount' | 'updateServiceAccount'>;
type LifeMethods = Pick<IamMethods, 'deleteServiceAccount' | 'undeleteServiceAccount' | 'enableServiceAccount' | 'disableServiceAccount'>;

/** @param constraints what organization policies say about a new account */
export function accountMethods(store: Store, constraints?: Pick<ConstraintChecks, 'accountCreation' | 'accountUpdate'>): ContentMethods & LifeMethods {
  return { ...contentMethods(store, constraints), ...lifeMethods(store) };
}

function contentMethods(store: Store, constraints: Pick<ConstraintChecks, 'accountCreation' | 'accountUpdate'> | undefined): ContentMethods {
  const askConstraints = async (name: string, change: Change, call: Call): Promise<void> => {
    if (constraints === undefined) return;
    const { project_id: projectId, email, display_name: displayName, description } = { ...(await getAccount(store.read, name)), ...change };
    await constraints.accountUpdate({ projectId, email, displayName, description }, call.principal);
  };
  return {
    createServiceAccount: {
      access: { checks: ({ name }) => [projectCheck('iam.serviceAccounts.create', name)] },
      async handle(request, call) {
        const { displayName, description } = request.serviceAccount ?? { displayName: '', description: '' };
        const home = await projectIdOf(store.read, parseProjectName(request.name));
        checkAccountId(request.accountId);
        await constraints?.accountCreation({ projectId: home, email: `${request.accountId}@${home}.iam.gserviceaccount.com`, displayName, description }, call.principal);
        const row = await store.write(async (tx) => {
          const projectId = await projectIdOf(tx.db, parseProjectName(request.name));
          return createServiceAccount(tx, { projectId, accountId: request.accountId, displayName, description }, call.now());
        });
        return toServiceAccount(row);
      },
    },
    getServiceAccount: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccounts.get', name, look)] },
      handle: async ({ name }) => toServiceAccount(await getAccount(store.read, name)),
    },
    listServiceAccounts: {
      access: { checks: ({ name }) => [projectCheck('iam.serviceAccounts.list', name)] },
      handle: (request) => list(store.read, request),
    },
    patchServiceAccount: {
      access: { checks: async ({ serviceAccount }, look) => [await accountCheck('iam.serviceAccounts.update', serviceAccount?.name ?? '', look)] },
      async handle({ serviceAccount, updateMask }, call) {
        const change = maskedChange(serviceAccount, updateMask?.paths ?? []);
        await askConstraints(serviceAccount?.name ?? '', change, call);
        const row = await update(store, serviceAccount?.name ?? '', change);
        // Recorded: the answer holds the name and what the mask names, no etag.
        return {
          name: accountName(row),
          ...(change.display_name === undefined ? {} : { displayName: row.display_name }),
          ...(change.description === undefined ? {} : { description: row.description }),
        };
      },
    },
    updateServiceAccount: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccounts.update', name, look)] },
      async handle(account, call) {
        const change = { display_name: account.displayName, description: account.description };
        await askConstraints(account.name, change, call);
        return toServiceAccount(await update(store, account.name, change));
      },
    },
  };
}

function lifeMethods(store: Store): LifeMethods {
  return {
    deleteServiceAccount: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccounts.delete', name, look)] },
      async handle({ name }, call) {
        await store.write(async (tx) => {
          await deleteServiceAccount(tx.db, await getAccount(tx.db, name), call.now());
          tx.touch('serviceAccounts');
          tx.touch('policies');
        });
        return {};
      },
    },
    undeleteServiceAccount: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccounts.undelete', name, look)] },
      handle: async ({ name }, call) => ({ restoredAccount: toServiceAccount(await undelete(store, name, call)) }),
    },
    enableServiceAccount: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccounts.enable', name, look)] },
      async handle({ name }) {
        await update(store, name, { disabled: 0 });
        return {};
      },
    },
    disableServiceAccount: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccounts.disable', name, look)] },
      async handle({ name }) {
        await update(store, name, { disabled: 1 });
        return {};
      },
    },
  };
}

/** One permission on an account, as the policies name it; where it is not known, as it was asked for, which an owner of the project passes and then reads a 404. */
export async function accountCheck(permission: string, name: string, look: Lookup): Promise<Check> {
  const { project, key } = parseAccountName(name);
  return { permission, resource: (await look.serviceAccount(project, key)) ?? `//iam.googleapis.com/${name}`, asked: name };
}

function projectCheck(permission: string, name: string): Check {
  return { permission, resource: `//cloudresourcemanager.googleapis.com/projects/${parseProjectName(name)}`, asked: name };
}

/**
 * The living account of a name. Recorded: an address that never had an account, and one whose account is gone, answer in different words.
 * @throws NOT_FOUND
 */
export async function getAccount(db: Db, name: string): Promise<ServiceAccountRow> {
  const { project, key } = parseAccountName(name);
  const row = await findServiceAccount(db, key);
  if (row !== undefined && (await isOf(db, row, project))) return row;
  const deleted = await findDeletedServiceAccount(db, key);
  if (deleted === undefined || !(await isOf(db, deleted, project))) throw notFound('Unknown service account');
  throw notFound(`Service account projects/${deleted.project_id}/serviceAccounts/${key} does not exist.`);
}

async function isOf(db: Db, row: ServiceAccountRow, project: string): Promise<boolean> {
  return project === '-' || project === row.project_id || (await findProject(db, project))?.project_id === row.project_id;
}

async function projectIdOf(db: Db, project: string): Promise<string> {
  const row = await findProject(db, project);
  if (row === undefined) throw notFound(`Unknown project id: ${project}`);
  return row.project_id;
}

async function list(
  db: Db,
  request: { readonly name: string; readonly pageSize: number; readonly pageToken: string },
): Promise<MessageInitShape<typeof ListServiceAccountsResponseSchema>> {
  const projectId = await projectIdOf(db, parseProjectName(request.name));
  const query = ['serviceAccounts', projectId];
  const limit = pageSize(request.pageSize, 20, 100);
  const after = decodePageToken(query, request.pageToken)?.[0];
  const rows = await listServiceAccounts(db, { projectId, limit: limit + 1, ...(after === undefined ? {} : { after: String(after) }) });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return create(ListServiceAccountsResponseSchema, {
    accounts: page.map(toServiceAccount),
    nextPageToken: rows.length > limit && last !== undefined ? encodePageToken(query, [last.email]) : '',
  });
}

type Change = Parameters<typeof updateServiceAccount>[2];

/** @param paths of the mask, both spellings @throws INVALID_ARGUMENT */
function maskedChange(account: { displayName: string; description: string } | undefined, paths: readonly string[]): Change {
  if (account === undefined) throw invalidRequest('service_account: required field not present.', [{ field: 'service_account', description: 'required field not present.' }]);
  if (paths.length === 0)
    throw invalidRequest('update_mask: required field not present. Name display_name, description or both.', [
      { field: 'update_mask', description: 'required field not present.' },
    ]);
  let change: Change = {};
  for (const path of paths) {
    if (path === 'display_name' || path === 'displayName') change = { ...change, display_name: account.displayName };
    else if (path === 'description') change = { ...change, description: account.description };
    else
      throw invalidRequest(`update_mask: ${JSON.stringify(path)} cannot be patched. Only display_name and description can.`, [
        { field: 'update_mask', description: `${path} cannot be patched` },
      ]);
  }
  return change;
}

async function update(store: Store, name: string, change: Change): Promise<ServiceAccountRow> {
  checkTexts({ displayName: change.display_name ?? '', description: change.description ?? '' });
  return store.write(async (tx) => {
    const row = await getAccount(tx.db, name);
    await updateServiceAccount(tx.db, row.unique_id, change);
    tx.touch('serviceAccounts');
    return { ...row, ...change };
  });
}

async function undelete(store: Store, name: string, call: Call): Promise<ServiceAccountRow> {
  const { project, key } = parseAccountName(name);
  if (!/^\d+$/.test(key))
    throw invalidRequest(
      `An account is undeleted by its unique id, not by ${JSON.stringify(key)}: an address may have had several. Write projects/PROJECT_ID/serviceAccounts/UNIQUE_ID.`,
      [{ field: 'name', description: 'must end with the unique id' }],
    );
  return store.write(async (tx) => {
    const deleted = await findDeletedServiceAccount(tx.db, key);
    if (deleted === undefined || !(await isOf(tx.db, deleted, project))) {
      const living = await getAccount(tx.db, name);
      throw failedPrecondition(`Service account ${accountName(living)} is not deleted.`);
    }
    // 30 days after the deletion an account is gone for good (proto, DeleteServiceAccount).
    if (call.now() - (deleted.delete_time ?? 0) > UNDELETE_MICROS) throw notFound(`Service account projects/${deleted.project_id}/serviceAccounts/${key} does not exist.`);
    const successor = await findServiceAccount(tx.db, deleted.email);
    if (successor !== undefined)
      throw alreadyExists(`Service account ${deleted.email.slice(0, deleted.email.indexOf('@'))} already exists within project projects/${deleted.project_id}.`);
    tx.touch('serviceAccounts');
    tx.touch('policies');
    return undeleteServiceAccount(tx.db, deleted, call.now());
  });
}

function accountName(row: ServiceAccountRow): string {
  return `projects/${row.project_id}/serviceAccounts/${row.email}`;
}

function toServiceAccount(row: ServiceAccountRow): MessageInitShape<typeof ServiceAccountSchema> {
  return {
    name: accountName(row),
    projectId: row.project_id,
    uniqueId: row.unique_id,
    email: row.email,
    displayName: row.display_name,
    description: row.description,
    etag: new Uint8Array(Buffer.from(row.etag, 'base64')),
    oauth2ClientId: row.oauth2_client_id,
    disabled: row.disabled === 1,
  };
}
