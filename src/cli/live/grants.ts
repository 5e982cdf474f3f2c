/**
 * Whether a service agent was granted a permission, by the policies that the caller may read: Google answers testIamPermissions about the caller alone.
 * The decision is the engine's own, on Google's policies. A grant that is seen is a yes; without one the answer is no only where nothing was left unread.
 */
import { fromJson } from '@bufbuild/protobuf';
import { type Policy, PolicySchema } from '../../gen/google/iam/v1/policy_pb.js';
import { createAuthorizer } from '../../policy/authorizer.ts';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { PolicySource } from '../../policy/source.ts';
import { Untold } from '../../services/untold.ts';
import { IAM, RESOURCE_MANAGER } from '../api.ts';
import { asMessageJson, type Google } from './google.ts';

const ARTIFACT_REGISTRY = 'artifactregistry.googleapis.com/v1';
const VERSION_3 = { options: { requestedPolicyVersion: 3 } };

/** @throws Untold */
export async function isGranted(
  google: Google,
  catalogue: RoleCatalogue,
  question: { readonly member: string; readonly permission: string; readonly resource: string },
): Promise<boolean> {
  const { permission } = question;
  const unread = new Set<string>();
  /** Writes down what could not be read, and goes on without it. */
  const attempt = async <T>(what: string, read: () => Promise<T | undefined>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof Untold)) throw error;
      unread.add(`${what} (${error.message})`);
      return undefined;
    }
  };
  const noteGroups = (policy: Policy): Policy => {
    for (const { role, members } of policy.bindings)
      if (catalogue.has(role, permission) !== false)
        for (const member of members) if (/^(?:group|principalSet|domain):/.test(member)) unread.add(`the members of ${member}, which has ${role}`);
    return policy;
  };
  const source: PolicySource = {
    async policy(resource) {
      const policy = await attempt(`the policy of ${resource.replace(/^\/\/[^/]+\//, '')}`, () => readPolicy(google, resource));
      return policy === undefined ? undefined : noteGroups(policy);
    },
    async project(key) {
      const found = await attempt(`the parent of project ${key}`, () => google.find<GoogleProject>(RESOURCE_MANAGER, `projects/${key}`));
      return { projectId: found?.projectId ?? key, number: found?.name?.split('/')[1] ?? key, parent: found?.parent ?? null };
    },
    async folder(number) {
      const found = await attempt(`the parent of folder ${number}`, () => google.find<{ parent?: string }>(RESOURCE_MANAGER, `folders/${number}`));
      // What is above is not known and was written down as such; a chain without an end would deny what was granted below.
      return { parent: found?.parent ?? 'organizations/0' };
    },
    async role(name) {
      if (catalogue.role(name) !== undefined) return undefined;
      const role = await attempt(`role ${name}`, () => google.find<{ includedPermissions?: string[]; deleted?: boolean; stage?: string }>(IAM, name));
      return role === undefined ? undefined : { permissions: role.includedPermissions ?? [], active: role.deleted !== true && role.stage !== 'DISABLED' };
    },
  };
  const decision = await createAuthorizer({ source, catalogue }).decide(question);
  if (decision.allowed) return true;
  for (const { role } of decision.unevaluatedRoles) unread.add(`role ${role}`);
  for (const { reason } of decision.failedConditions ?? []) unread.add(`a condition (${reason})`);
  if (unread.size > 0) throw new Untold(`No grant of ${permission} to ${question.member} is seen, but not everything could be read: ${[...unread].join('; ')}.`);
  return false;
}

export interface GoogleProject {
  readonly name?: string;
  readonly projectId?: string;
  readonly parent?: string;
  readonly state?: string;
}

async function readPolicy(google: Google, resource: string): Promise<Policy | undefined> {
  const [, , host = '', ...rest] = resource.split('/');
  const path = rest.join('/');
  const answer = await policyJson(google, host, path);
  return answer === undefined ? undefined : fromJson(PolicySchema, asMessageJson(answer), { ignoreUnknownFields: true });
}

function policyJson(google: Google, host: string, path: string): Promise<object | undefined> {
  if (path === 'organizations/0') return Promise.resolve(undefined);
  if (host === 'iam.googleapis.com') return google.ask<object>(IAM, `${path.replace(/^projects\/[^/]+/, 'projects/-')}:getIamPolicy`, {}, { 'options.requestedPolicyVersion': 3 });
  if (host === 'artifactregistry.googleapis.com') return google.find<object>(ARTIFACT_REGISTRY, `${path}:getIamPolicy`);
  return google.ask<object>(RESOURCE_MANAGER, `${path}:getIamPolicy`, VERSION_3);
}
