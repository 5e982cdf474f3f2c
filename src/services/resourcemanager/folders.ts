/** What both versions of the folders API read: the same rows in two shapes. */
import type { Db, Store } from '../../store/database.ts';
import { type FolderRow, listFolders, listFoldersIn } from '../../store/folders.ts';
import { parseFilter } from '../list-filter.ts';
import type { Call, Check } from '../service.ts';
import { getFolder } from './folder-changes.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck } from './node-policies.ts';
import { visiblePage } from './visible-page.ts';

interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** @param shape of one version */
export function folderReads<Shape>(store: Store, shape: (row: FolderRow) => Shape) {
  return {
    getFolder: {
      access: { checks: ({ name }: { name: string }) => [folderCheck('get', name)] },
      handle: async ({ name }: { name: string }) => shape(await getFolder(store.read, name)),
    },
    listFolders: {
      access: { checks: ({ parent }: { parent: string }) => [nodeCheck('resourcemanager.folders.list', parseNode(parent, ['folders', 'organizations'], 'parent'))] },
      async handle(request: PageRequest & { parent: string; showDeleted: boolean }) {
        const page = await list(store.read, request);
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

/** @param verb of `resourcemanager.folders` */
export function folderCheck(verb: string, name: string, field = 'name'): Check {
  return nodeCheck(`resourcemanager.folders.${verb}`, parseNode(name, ['folders'], field));
}

/** What moving a folder takes beside leaving its parent, which `authorizeLeavingFolder` asks about. Source: the comment on MoveFolder in v3/folders.proto. */
export function folderMoveChecks({ name, destinationParent }: { readonly name: string; readonly destinationParent: string }): Check[] {
  // The check on the folder itself refuses whoever cannot learn of it.
  return [folderCheck('move', name), nodeCheck('resourcemanager.folders.move', parseNode(destinationParent, ['folders', 'organizations'], 'destination_parent'))];
}

/** @returns the parent that the caller may take the folder out of @throws NOT_FOUND, PERMISSION_DENIED */
export async function authorizeLeavingFolder(db: Db, name: string, call: Call): Promise<string> {
  const { parent } = await getFolder(db, name);
  await call.authorize(nodeCheck('resourcemanager.folders.move', parseNode(parent, ['folders', 'organizations'], 'parent')));
  return parent;
}

function list(db: Db, request: PageRequest & { readonly parent: string; readonly showDeleted: boolean }) {
  const { parent, showDeleted } = request;
  return visiblePage<FolderRow>({
    query: ['folders', parent, showDeleted],
    request,
    read: (after, limit) => listFoldersIn(db, parent, { limit, showDeleted, ...(after === undefined ? {} : { after: fromKey(after) }) }),
    keyOf: ({ display_name, number }) => `${display_name}\n${number}`,
    isVisible: () => true,
  });
}

/** Display names hold no line break. */
function fromKey(key: string): { displayName: string; number: string } {
  const [displayName = '', number = ''] = key.split('\n');
  return { displayName, number };
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
  return field === 'name' ? `folders/${row.number}` : row.state;
}
