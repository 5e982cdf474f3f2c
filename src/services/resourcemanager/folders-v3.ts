/** google.cloud.resourcemanager.v3.Folders: every change is an operation. */
import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { invalidRequest } from '../../errors.ts';
import {
  CreateFolderMetadataSchema,
  DeleteFolderMetadataSchema,
  Folder_State,
  FolderSchema,
  Folders,
  MoveFolderMetadataSchema,
  UndeleteFolderMetadataSchema,
  UpdateFolderMetadataSchema,
} from '../../gen/google/cloud/resourcemanager/v3/folders_pb.js';
import type { Operation } from '../../gen/google/longrunning/operations_pb.js';
import type { Store, Tx } from '../../store/database.ts';
import type { FolderRow } from '../../store/folders.ts';
import { toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Call, defineService, type Methods } from '../service.ts';
import { createFolder, deleteFolder, moveFolder, renameFolder, undeleteFolder } from './folder-changes.ts';
import { authorizeLeavingFolder, folderCheck, folderMoveChecks, folderReads } from './folders.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, nodePolicyMethods, type ResourceManagerDeps } from './node-policies.ts';
import { recordOperation } from './operations.ts';
import { v3Denied } from './words.ts';

type FolderMethods = Methods<typeof Folders>;

export function createFoldersV3Service(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof Folders>({
    desc: Folders,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: v3Denied,
    methods: { ...nodePolicyMethods(deps, 'folders'), ...folderReads(deps.store, toV3), ...changes(deps.store) },
  });
}

function changes(store: Store): Pick<FolderMethods, 'createFolder' | 'updateFolder' | 'moveFolder' | 'deleteFolder' | 'undeleteFolder'> {
  return {
    createFolder: {
      access: { checks: ({ folder }) => [nodeCheck('resourcemanager.folders.create', parseNode(folder?.parent ?? '', ['folders', 'organizations'], 'folder.parent'))] },
      handle: ({ folder }, call) =>
        store.write(async (tx) => {
          const { parent, displayName } = folder ?? { parent: '', displayName: '' };
          const row = await createFolder(tx, { parent, displayName, creator: call.principal.member }, call.now());
          return record(tx, 'cf', row, CreateFolderMetadataSchema, create(CreateFolderMetadataSchema, { displayName, parent }), call);
        }),
    },
    updateFolder: {
      access: { checks: ({ folder }) => [folderCheck('update', folder?.name ?? '', 'folder.name')] },
      handle: ({ folder, updateMask }, call) =>
        store.write(async (tx) => {
          checkFolderMask(updateMask?.paths ?? []);
          const { name, displayName, etag } = folder ?? { name: '', displayName: '', etag: '' };
          const row = await renameFolder(tx, name, { displayName, etag }, call.now());
          return record(tx, 'uf', row, UpdateFolderMetadataSchema, create(UpdateFolderMetadataSchema), call);
        }),
    },
    moveFolder: {
      access: { checks: folderMoveChecks },
      async handle({ name, destinationParent: to }, call) {
        const from = await authorizeLeavingFolder(store.read, name, call);
        return store.write(async (tx) => {
          const row = await moveFolder(tx, name, { from, to }, call.now());
          const metadata = create(MoveFolderMetadataSchema, { displayName: row.display_name, sourceParent: from, destinationParent: to });
          return record(tx, 'mf', row, MoveFolderMetadataSchema, metadata, call);
        });
      },
    },
    deleteFolder: {
      access: { checks: ({ name }) => [folderCheck('delete', name)] },
      handle: ({ name }, call) =>
        store.write(async (tx) => record(tx, 'df', await deleteFolder(tx, name, call.now()), DeleteFolderMetadataSchema, create(DeleteFolderMetadataSchema), call)),
    },
    undeleteFolder: {
      access: { checks: ({ name }) => [folderCheck('undelete', name)] },
      handle: ({ name }, call) =>
        store.write(async (tx) => record(tx, 'rf', await undeleteFolder(tx, name, call.now()), UndeleteFolderMetadataSchema, create(UndeleteFolderMetadataSchema), call)),
    },
  };
}

/** Only the display name of a folder can be changed; without a mask it is meant. @throws INVALID_ARGUMENT */
export function checkFolderMask(paths: readonly string[]): void {
  for (const path of paths)
    if (path !== 'display_name' && path !== 'displayName' && path !== '*')
      throw invalidRequest(`update_mask: ${JSON.stringify(path)} cannot be updated. Only display_name can.`, [{ field: 'update_mask', description: `${path} cannot be updated` }]);
}

function record<M extends DescMessage>(tx: Tx, kind: 'cf' | 'uf' | 'mf' | 'df' | 'rf', row: FolderRow, schema: M, metadata: MessageShape<M>, call: Call): Promise<Operation> {
  const target = nodeResource({ kind: 'folders', id: row.number });
  return recordOperation(tx.db, { kind, target, metadata: [schema, metadata], response: [FolderSchema, create(FolderSchema, toV3(row))] }, call.now());
}

function toV3(row: FolderRow): MessageInitShape<typeof FolderSchema> {
  return {
    name: `folders/${row.number}`,
    parent: row.parent,
    displayName: row.display_name,
    state: Folder_State[row.state],
    createTime: toTimestamp(row.create_time),
    updateTime: toTimestamp(row.update_time),
    ...(row.delete_time === null ? {} : { deleteTime: toTimestamp(row.delete_time) }),
    etag: row.etag,
  };
}
