/** google.cloud.resourcemanager.v2.Folders, which gcloud calls: creating and moving are operations, everything else answers with the folder. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { invalidRequest } from '../../errors.ts';
import { Folder_LifecycleState, FolderOperation_OperationType, FolderOperationSchema, FolderSchema, Folders } from '../../gen/google/cloud/resourcemanager/v2/folders_pb.js';
import type { Operation } from '../../gen/google/longrunning/operations_pb.js';
import type { Store, Tx } from '../../store/database.ts';
import type { FolderRow } from '../../store/folders.ts';
import { toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Call, defineService, type Methods } from '../service.ts';
import { createFolder, deleteFolder, moveFolder, renameFolder, undeleteFolder } from './folder-changes.ts';
import { authorizeLeavingFolder, folderCheck, folderMoveChecks, folderReads } from './folders.ts';
import { checkFolderMask } from './folders-v3.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, nodePolicyMethods, type ResourceManagerDeps } from './node-policies.ts';
import { recordOperation } from './operations.ts';
import { plainDenied } from './words.ts';

type FolderMethods = Methods<typeof Folders>;

export function createFoldersV2Service(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof Folders>({
    desc: Folders,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: plainDenied,
    methods: { ...nodePolicyMethods(deps, 'folders'), ...folderReads(deps.store, toV2), ...changes(deps.store) },
  });
}

function changes(store: Store): Pick<FolderMethods, 'createFolder' | 'updateFolder' | 'moveFolder' | 'deleteFolder' | 'undeleteFolder'> {
  return {
    createFolder: {
      access: { checks: ({ parent }) => [nodeCheck('resourcemanager.folders.create', parseNode(parent, ['folders', 'organizations'], 'parent'))] },
      handle: ({ parent, folder }, call) =>
        store.write(async (tx) => {
          const row = await createFolder(tx, { parent, displayName: folder?.displayName ?? '', creator: call.principal.member }, call.now());
          return record(tx, row, { operationType: FolderOperation_OperationType.CREATE, destinationParent: parent }, call);
        }),
    },
    updateFolder: {
      access: { checks: ({ folder }) => [folderCheck('update', folder?.name ?? '', 'folder.name')] },
      async handle({ folder, updateMask }, call) {
        checkFolderMask(updateMask?.paths ?? []);
        const { name, displayName } = folder ?? { name: '', displayName: '' };
        return toV2(await store.write((tx) => renameFolder(tx, name, { displayName, etag: '' }, call.now())));
      },
    },
    moveFolder: {
      access: { checks: folderMoveChecks },
      async handle({ name, destinationParent: to }, call) {
        const from = await authorizeLeavingFolder(store.read, name, call);
        return store.write(async (tx) => {
          const row = await moveFolder(tx, name, { from, to }, call.now());
          return record(tx, row, { operationType: FolderOperation_OperationType.MOVE, sourceParent: from, destinationParent: to }, call);
        });
      },
    },
    deleteFolder: {
      access: { checks: ({ name }) => [folderCheck('delete', name)] },
      async handle({ name, recursiveDelete }, call) {
        // Deviation: recursive_delete of folders is refused, as one call would end everything below.
        if (recursiveDelete)
          throw invalidRequest('recursive_delete: A folder is deleted only when it is empty. Delete or move what is in it first.', [
            { field: 'recursive_delete', description: 'must be false' },
          ]);
        return toV2(await store.write((tx) => deleteFolder(tx, name, call.now())));
      },
    },
    undeleteFolder: {
      access: { checks: ({ name }) => [folderCheck('undelete', name)] },
      handle: async ({ name }, call) => toV2(await store.write((tx) => undeleteFolder(tx, name, call.now()))),
    },
  };
}

function record(tx: Tx, row: FolderRow, about: MessageInitShape<typeof FolderOperationSchema>, call: Call): Promise<Operation> {
  const metadata = create(FolderOperationSchema, { ...about, displayName: row.display_name });
  const kind = metadata.operationType === FolderOperation_OperationType.CREATE ? 'cf' : 'mf';
  const target = nodeResource({ kind: 'folders', id: row.number });
  return recordOperation(tx.db, { kind, target, metadata: [FolderOperationSchema, metadata], response: [FolderSchema, create(FolderSchema, toV2(row))] }, call.now());
}

function toV2(row: FolderRow): MessageInitShape<typeof FolderSchema> {
  return {
    name: `folders/${row.number}`,
    parent: row.parent,
    displayName: row.display_name,
    lifecycleState: Folder_LifecycleState[row.state],
    createTime: toTimestamp(row.create_time),
    updateTime: toTimestamp(row.update_time),
  };
}
