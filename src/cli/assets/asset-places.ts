/**
 * What an export's projects, folders and organizations are here. A project is the one with the same id; a folder the one with the same number, or with the same name in the
 * same place; an organization the one with the same number, or the only one that there is. Projects and folders that the export describes are made where they are missing.
 */
import { type Api, type Operation, RESOURCE_MANAGER } from '../api.ts';
import { isApiFailure } from '../failure.ts';
import type { Item } from '../import-changes.ts';
import type { AssetIndex } from './asset-index.ts';

/** A project, folder or organization here. */
export interface Place {
  /** `projects/demo`, `folders/22`, `organizations/11` */
  readonly name: string;
  readonly number: string;
  /** Would be made, and is not there in a dry run. */
  readonly isPlanned: boolean;
}

export interface Places {
  /** @param name as the export has it, a project by number or id @returns undefined where it is not here */
  find(name: string): Promise<Place | undefined>;
  /** What has to be made first. */
  items(): AsyncGenerator<Item>;
}

interface Node {
  readonly name?: string;
  readonly displayName?: string;
  readonly projectId?: string;
}

/** @param only what an export's project is that it names by number alone, where it has no other @param note hears what stands for what */
export function createPlaces(api: Api, index: AssetIndex, only: string | undefined, note: (text: string) => void): Places {
  const found = new Map<string, Promise<Place | undefined>>();
  const find: Places['find'] = (name) => {
    const known = found.get(name) ?? look(name);
    found.set(name, known);
    return known;
  };
  const look = async (name: string): Promise<Place | undefined> => {
    const [kind, id = ''] = name.split('/');
    if (kind === 'projects') return projectHere(id);
    const same = await read(api, name);
    if (same !== undefined) return place(name, id);
    if (kind === 'folders') return folderHere(id);
    return kind === 'organizations' ? onlyOrganization(name) : undefined;
  };
  const projectHere = async (key: string): Promise<Place | undefined> => {
    const id = index.projectIds.get(key) ?? (/^\d+$/.test(key) ? undefined : key);
    const here = await read(api, `projects/${id ?? key}`);
    if (here?.projectId !== undefined) return place(`projects/${here.projectId}`, here.name?.split('/')[1] ?? '');
    if (id !== undefined || only === undefined || index.named.size !== 1) return undefined;
    const instead = await read(api, `projects/${only}`);
    return instead === undefined ? undefined : place(`projects/${only}`, instead.name?.split('/')[1] ?? '');
  };
  const folderHere = async (number: string): Promise<Place | undefined> => {
    const described = index.folders.get(number);
    const parent = described === undefined ? undefined : await find(described.parent);
    if (described === undefined || parent === undefined || parent.isPlanned) return undefined;
    const there = await api.list<Node>(RESOURCE_MANAGER, 'folders', 'folders', { query: { parent: parent.name } });
    const same = there.find(({ displayName }) => displayName === described.displayName)?.name;
    return same === undefined ? undefined : place(same, same.split('/')[1] ?? '');
  };
  const onlyOrganization = async (name: string): Promise<Place | undefined> => {
    const [first, ...more] = await api.list<Node>(RESOURCE_MANAGER, 'organizations:search', 'organizations');
    if (first?.name === undefined || more.length > 0) return undefined;
    note(`${name} of the export is ${first.name} (${first.displayName ?? ''}) here.`);
    return place(first.name, first.name.split('/')[1] ?? '');
  };
  const made = (name: string, value: Place): void => void found.set(name, Promise.resolve(value));

  return {
    find,
    async *items() {
      const done = new Set<string>();
      for (const number of index.folders.keys()) yield* folderItems(number, done);
      for (const [number, { id, ...described }] of index.projects) {
        // An id of 3 letters or more; an export of a project that is being deleted has no id any more.
        if (id !== '') yield createItem(`projects/${number}`, `project ${id}`, described.parent, (parent) => projectBody(id, described, parent));
      }
    },
  };

  /** What a folder lies in before itself. */
  async function* folderItems(number: string, done: Set<string>): AsyncGenerator<Item> {
    const described = index.folders.get(number);
    if (described === undefined || done.has(number)) return;
    done.add(number);
    if (described.parent.startsWith('folders/')) yield* folderItems(described.parent.slice('folders/'.length), done);
    const body = (parent: string | undefined) => ({ path: 'folders', body: { displayName: described.displayName, parent } });
    yield createItem(`folders/${number}`, `folder ${described.displayName} (${number} in the export)`, described.parent, body);
  }

  function createItem(name: string, title: string, parentName: string, create: (parent: string | undefined) => { readonly path: string; readonly body: object }): Item {
    return {
      title,
      async look() {
        if ((await find(name)) !== undefined) return undefined;
        const parent = parentName === '' ? undefined : await find(parentName);
        const id = index.projects.get(name.slice('projects/'.length))?.id;
        // Until it is made, and for the whole of a dry run.
        const planned: Place = { name: id === undefined ? name : `projects/${id}`, number: '', isPlanned: true };
        for (const each of [name, planned.name]) made(each, planned);
        return {
          verb: 'create',
          async apply() {
            const { path, body } = create(parent?.name);
            const node = await api.finish<Node>(RESOURCE_MANAGER, await api.send<Operation>('POST', RESOURCE_MANAGER, path, body));
            const number = node.name?.split('/')[1] ?? '';
            const here = place(node.projectId === undefined ? (node.name ?? '') : `projects/${node.projectId}`, number);
            for (const each of [name, planned.name]) made(each, here);
          },
        };
      },
    };
  }
}

function place(name: string, number: string): Place {
  return { name, number, isPlanned: false };
}

function projectBody(id: string, { displayName, labels }: { readonly displayName: string; readonly labels?: object }, parent: string | undefined) {
  const body = { projectId: id, ...(displayName === '' ? {} : { displayName }), ...(labels === undefined ? {} : { labels }), ...(parent === undefined ? {} : { parent }) };
  return { path: 'projects', body };
}

/** @returns undefined for what is not there, or may not be seen: the API answers both alike */
async function read(api: Api, name: string): Promise<Node | undefined> {
  try {
    return await api.get<Node>(RESOURCE_MANAGER, name);
  } catch (error) {
    if (isApiFailure(error, 'NOT_FOUND') || isApiFailure(error, 'PERMISSION_DENIED')) return undefined;
    throw error;
  }
}
