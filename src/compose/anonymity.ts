import type { Config } from '../config.ts';
import type { Authorizer } from '../policy/authorizer.ts';
import { findSettablePolicy } from '../policy/policy-setter.ts';
import type { Log } from '../services/service.ts';
import type { Store } from '../store/database.ts';
import { listFolders } from '../store/folders.ts';
import { listOrganizations } from '../store/organizations.ts';
import { listProjects } from '../store/projects.ts';

/** `--anonymous-as` lends a name to every program of this machine: for one who may set IAM policies only when asked for twice. @throws Error */
export async function refuseWideAnonymity(config: Config, store: Store, authorizer: Authorizer, log: Log): Promise<void> {
  const [member, again] = config.anonymousAs;
  if (member === undefined) return;
  const organizations = (await listOrganizations(store.read, { limit: 1000 })).map(({ number }) => number);
  const folders = (await listFolders(store.read, { limit: 1000 })).map(({ number }) => number);
  const projects = (await listProjects(store.read, { limit: 1000 })).map(({ project_id }) => project_id);
  const settable = again === undefined ? await findSettablePolicy(authorizer, member, { organizations, folders, projects }) : undefined;
  if (settable !== undefined)
    throw new Error(
      `--anonymous-as ${member}: this principal may set IAM policies (${settable.permission} on ${settable.resource}), so every program on this machine could give itself any role. Repeat the flag if that is what you want.`,
    );
  log.warn({ anonymousAs: member }, `ANONYMOUS ACCESS: callers without a token are taken for ${member}`);
}
