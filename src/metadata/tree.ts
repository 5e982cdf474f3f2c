/**
 * What the metadata server of a task shows: a tree of directories and values, and how each is written as text or JSON.
 * The entries are those that were seen on Cloud Run (a live execution), with `universe/` as Compute Engine has it.
 */
import type { GoogleAccount } from '../identity/google-account.ts';
import { CLOUD_PLATFORM_SCOPE } from '../identity/tokens.ts';

/** Who a task is. Instance ids are those of its log entries. */
export interface TaskIdentity {
  readonly attemptId: string;
  readonly serviceAccount: { readonly email: string; readonly uniqueId: string };
  readonly projectId: string;
  readonly projectNumber: string;
  readonly location: string;
  readonly instanceId: string;
  /** The real account that it acts as, where the configuration maps one. */
  readonly google?: GoogleAccount;
}

export type Value = string | number | readonly string[];
/** `token` and `identity` are made on request; they are listed, but not part of a recursive answer. */
export interface Made {
  readonly made: 'token' | 'identity';
}
export interface Directory {
  readonly children: ReadonlyMap<string, Node>;
}
export type Node = Value | Made | Directory;

export const DEFAULT_SCOPES: readonly string[] = [CLOUD_PLATFORM_SCOPE, 'https://www.googleapis.com/auth/userinfo.email', 'openid'];

export function isDirectory(node: Node): node is Directory {
  return typeof node === 'object' && 'children' in node;
}
export function isMade(node: Node): node is Made {
  return typeof node === 'object' && 'made' in node;
}

/**
 * The whole tree below `/`. A task that acts as a real account sees that one and its project, for that is what client libraries put into the names of
 * what they call; where it runs is still here.
 * Deviation: where `identity: google` is configured without the real project's number, there is no `numeric-project-id`, and region and zone have the project's id in its place.
 */
export function metadataTree(task: TaskIdentity): Directory {
  const { google } = task;
  const email = google?.account ?? task.serviceAccount.email;
  const scopes = google?.scopes ?? DEFAULT_SCOPES;
  const project = google?.project ?? task.projectId;
  const number = google === undefined ? task.projectNumber : google.projectNumber;
  const account = directory({ aliases: ['default'], email, identity: { made: 'identity' }, scopes, token: { made: 'token' } });
  const v1 = directory({
    instance: directory({
      id: task.instanceId,
      region: `projects/${number ?? project}/regions/${task.location}`,
      'service-accounts': directory({ [email]: account, default: account }),
      zone: `projects/${number ?? project}/zones/${task.location}-1`,
    }),
    project: directory({ ...(number === undefined ? {} : { 'numeric-project-id': Number(number) }), 'project-id': project }),
    universe: directory({ 'universe-domain': 'googleapis.com' }),
  });
  return directory({ computeMetadata: directory({ v1 }) });
}

function directory(entries: Readonly<Record<string, Node>>): Directory {
  const sorted = Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1));
  return { children: new Map(sorted) };
}

/** @param path segments below `/` @returns undefined where there is nothing */
export function findNode(root: Directory, path: readonly string[]): Node | undefined {
  let node: Node = root;
  for (const name of path) {
    if (!isDirectory(node)) return undefined;
    // The .NET library asks with an underscore.
    const next = node.children.get(name === 'universe_domain' ? 'universe-domain' : name);
    if (next === undefined) return undefined;
    node = next;
  }
  return node;
}

/** One name per line, directories with a slash behind. */
export function listing(node: Directory): string {
  return [...node.children].map(([name, child]) => `${name}${isDirectory(child) ? '/' : ''}\n`).join('');
}

/** The JSON form: names become camelCase, except those of accounts, which are no names of ours. */
export function toJson(node: Value | Directory): unknown {
  if (!isDirectory(node)) return node;
  const members: [string, unknown][] = [];
  for (const [name, child] of node.children)
    if (!isMade(child)) members.push([name.includes('@') ? name : name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()), toJson(child)]);
  return Object.fromEntries(members);
}

/** `alt=text` of a recursive answer: one line per value, `path value`. */
export function toLines(node: Directory, prefix = ''): string {
  let lines = '';
  for (const [name, child] of node.children) {
    if (isMade(child)) continue;
    lines += isDirectory(child)
      ? toLines(child, `${prefix}${name}/`)
      : [child]
          .flat()
          .map((value) => `${prefix}${name} ${String(value)}\n`)
          .join('');
  }
  return lines;
}
