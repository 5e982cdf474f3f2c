/** A seed as a state: what a data directory would hold that was started with it. */
import type { Seed } from '../seed/seed.ts';
import { emptyState, type PolicyState, type StateBinding, stateResource } from './state.ts';

/** A policy is declared for something that no policy can be set on. The message is for people. */
export class StateError extends Error {
  override readonly name = 'StateError';
}

/** @throws StateError naming the place in the seed */
export function stateOfSeed(seed: Seed): PolicyState {
  const state = emptyState();
  for (const { id, number, parent } of seed.projects) state.projects.set(id, { number, parent: parent ?? null });
  for (const { number, parent } of seed.folders) state.folders.set(number, { parent });
  for (const { project, id } of seed.serviceAccounts) state.accounts.add(`//iam.googleapis.com/projects/${project}/serviceAccounts/${id}@${project}.iam.gserviceaccount.com`);
  for (const { email, members } of seed.groups) state.groups.set(`group:${email}`, members ?? []);
  for (const { name, stage, includedPermissions } of seed.roles) state.roles.set(name, { permissions: includedPermissions, active: stage !== 'DISABLED' });
  for (const { id, number } of seed.projects) {
    const account = `${number}-compute@developer.gserviceaccount.com`;
    state.accounts.add(`//iam.googleapis.com/projects/${id}/serviceAccounts/${account}`);
    state.policies.set(`//cloudresourcemanager.googleapis.com/projects/${id}`, initialBindings(seed, id, number, account));
  }
  for (const [place, { resource, bindings }] of seed.policies.entries()) {
    const name = stateResource(state, resource);
    if (name === undefined || !isDeclared(seed, name))
      throw new StateError(`policies[${place}].resource is ${JSON.stringify(resource)}, which the seed does not declare. Declare it, or correct the name.`);
    // Of a declared policy nothing goes but what another declaration of the file would bind.
    state.policies.set(name, [...(state.policies.get(name) ?? []), ...bindings]);
  }
  return state;
}

/** What a project's policy binds from its creation: the default account as editor, unless that is forbidden, and the service agent. */
function initialBindings(seed: Seed, project: string, number: string, account: string): StateBinding[] {
  const agent = { role: 'roles/run.serviceAgent', members: [`serviceAccount:service-${number}@serverless-robot-prod.iam.gserviceaccount.com`] };
  return isEditorWithheld(seed, project) ? [agent] : [{ role: 'roles/editor', members: [`serviceAccount:${account}`] }, agent];
}

/** The constraint of the nearest declared policy, or of the baseline of an organization that is secure by default. */
function isEditorWithheld(seed: Seed, project: string): boolean {
  const parents = new Map(seed.folders.map(({ number, parent }) => [`folders/${number}`, parent]));
  let at = seed.projects.find(({ id }) => id === project)?.parent;
  for (let steps = 0; at !== undefined && steps <= seed.folders.length; steps++) {
    const here = at;
    const declared = seed.orgPolicies.find(
      ({ name }) => /\/policies\/iam\.(?:managed\.)?(?:automatic|preventPrivileged)\w*DefaultServiceAccount/.test(name) && name.startsWith(`${here}/`),
    );
    if (declared !== undefined) return JSON.stringify(declared['spec'] ?? {}).includes('"enforce":true');
    if (seed.organizations.some(({ number, secureByDefault }) => here === `organizations/${number}` && secureByDefault === true)) return true;
    at = parents.get(here);
  }
  return false;
}

function isDeclared(seed: Seed, resource: string): boolean {
  const [, kind, id = '', collection] = /^\/\/[^/]+\/([^/]+)\/([^/]+)(?:\/([^/]+))?/.exec(resource) ?? [];
  if (kind === 'organizations') return seed.organizations.some(({ number }) => number === id);
  if (kind === 'folders') return seed.folders.some(({ number }) => number === id);
  if (kind !== 'projects' || !seed.projects.some((project) => project.id === id)) return false;
  if (collection === undefined) return true;
  if (collection === 'secrets' || resource.includes('/secrets/')) return seed.secrets.some(({ name }) => resource.endsWith(`/${name}`));
  if (collection !== 'serviceAccounts') return seed.jobs.some(({ name }) => resource.endsWith(`/${name}`));
  const email = resource.slice(resource.lastIndexOf('/') + 1);
  return email.endsWith('-compute@developer.gserviceaccount.com') || seed.serviceAccounts.some((account) => `${account.id}@${account.project}.iam.gserviceaccount.com` === email);
}
