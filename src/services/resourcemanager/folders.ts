/** Folders, v3 and v2 (which gcloud calls): the same rows in two shapes. Folders come from the seed; creating and moving them is not served. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { notFound } from '../../errors.ts';
import { Folder_LifecycleState, Folders as FoldersV2, type FolderSchema as FolderV2Schema } from '../../gen/google/cloud/resourcemanager/v2/folders_pb.js';
import { Folder_State, Folders as FoldersV3, type FolderSchema as FolderV3Schema } from '../../gen/google/cloud/resourcemanager/v3/folders_pb.js';
import type { Db, Store } from '../../store/database.ts';
import { type FolderRow, findFolder, listFolders } from '../../store/folders.ts';
import { toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Call, defineService } from '../service.ts';
import { parseFilter } from './filter.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, nodePolicyMethods, type ResourceManagerDeps } from './node-policies.ts';
import { visiblePage } from './visible-page.ts';
import { plainDenied, v3Denied } from './words.ts';

export function createFoldersV3Service(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof FoldersV3>({
    desc: FoldersV3,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: v3Denied,
    methods: {
      ...nodePolicyMethods(deps, 'folders'),
      ...reads(deps.store, toV3),
      createFolder: 'unimplemented',
      updateFolder: 'unimplemented',
      moveFolder: 'unimplemented',
      deleteFolder: 'unimplemented',
      undeleteFolder: 'unimplemented',
    },
  });
}

export function createFoldersV2Service(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof FoldersV2>({
    desc: FoldersV2,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: plainDenied,
    methods: {
      ...nodePolicyMethods(deps, 'folders'),
      ...reads(deps.store, toV2),
      createFolder: 'unimplemented',
      updateFolder: 'unimplemented',
      moveFolder: 'unimplemented',
      deleteFolder: 'unimplemented',
      undeleteFolder: 'unimplemented',
    },
  });
}

interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

function reads<Shape>(store: Store, shape: (row: FolderRow) => Shape) {
  return {
    getFolder: {
      access: { checks: ({ name }: { name: string }) => [nodeCheck('resourcemanager.folders.get', parseNode(name, ['folders']))] },
      handle: async ({ name }: { name: string }) => shape(await getFolder(store.read, name)),
    },
    listFolders: {
      access: { checks: ({ parent }: { parent: string }) => [nodeCheck('resourcemanager.folders.list', parseNode(parent, ['folders', 'organizations'], 'parent'))] },
      async handle(request: PageRequest & { parent: string }) {
        const { parent } = request;
        const page = await visiblePage<FolderRow>({
          query: ['folders', parent],
          request,
          read: (after, limit) => listFolders(store.read, { parent, limit, ...(after === undefined ? {} : { after }) }),
          keyOf: (row) => row.number,
          isVisible: () => true,
        });
        return { folders: page.rows.map(shape), nextPageToken: page.nextPageToken };
      },
    },
    searchFolders: {
      access: { authenticated: true as const, why: 'Shows only the folders on which the caller has resourcemanager.folders.get.' },
      async handle(request: PageRequest & { query: string }, call: Call) {
        const page = await search(store.read, request, call);
        return { folders: page.rows.map(shape), nextPageToken: page.nextPageToken };
      },
    },
  };
}

function search(db: Db, request: PageRequest & { readonly query: string }, call: Call) {
  const filter = parseFilter(request.query, ['displayName', 'parent', 'state', 'lifecycleState', 'name'], 'query');
  return visiblePage<FolderRow>({
    query: ['folders:search', request.query],
    request,
    read: (after, limit) => listFolders(db, { limit, ...(after === undefined ? {} : { after }) }),
    keyOf: (row) => row.number,
    isVisible: (row) =>
      filter((field) => folderField(row, field)) && call.isAllowed({ permission: 'resourcemanager.folders.get', resource: nodeResource({ kind: 'folders', id: row.number }) }),
  });
}

function folderField(row: FolderRow, field: string): string | undefined {
  if (field === 'displayName') return row.display_name;
  if (field === 'parent') return row.parent;
  return field === 'name' ? `folders/${row.number}` : 'ACTIVE';
}

async function getFolder(db: Db, name: string): Promise<FolderRow> {
  const row = await findFolder(db, parseNode(name, ['folders']).id);
  if (row === undefined) throw notFound(`Folder '${name}' was not found.`);
  return row;
}

function toV3(row: FolderRow): MessageInitShape<typeof FolderV3Schema> {
  const createTime = toTimestamp(row.create_time);
  return { name: `folders/${row.number}`, parent: row.parent, displayName: row.display_name, state: Folder_State.ACTIVE, createTime, updateTime: createTime };
}
function toV2(row: FolderRow): MessageInitShape<typeof FolderV2Schema> {
  return {
    name: `folders/${row.number}`,
    parent: row.parent,
    displayName: row.display_name,
    lifecycleState: Folder_LifecycleState.ACTIVE,
    createTime: toTimestamp(row.create_time),
  };
}
