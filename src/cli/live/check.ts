/**
 * `actas run jobs check --live`: the questions of services/run, answered by the real Google Cloud. Read-only, without a control plane: testIamPermissions
 * for the caller (or the account that it impersonates), allow policies for the service agent, effective organization policies.
 */
import { fromJson } from '@bufbuild/protobuf';
import { notFound, permissionDenied } from '../../errors.ts';
import { JobSchema as V1JobSchema } from '../../gen/google/cloud/run/v1/resources_pb.js';
import { JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { loadCatalogue, type RoleCatalogue } from '../../policy/catalogue.ts';
import { createConstraintChecks } from '../../policy/constraint-checks.ts';
import { remedyFor } from '../../policy/remedy.ts';
import type { Asker, JobCheck } from '../../services/run/check-job.ts';
import { Untold } from '../../services/untold.ts';
import { IAM, RESOURCE_MANAGER, RUN } from '../api.ts';
import { failure } from '../failure.ts';
import type { Chain } from '../impersonation.ts';
import type { Io } from '../io.ts';
import { createLiveOrgPolicies } from './constraints.ts';
import { asMessageJson, connectGoogle, type Google } from './google.ts';
import { type GoogleProject, isGranted } from './grants.ts';
import { imageQuestion } from './image.ts';

export interface LiveCheck {
  /** `projects/P/locations/L/jobs/J`. */
  readonly name: string;
  readonly job?: object;
  readonly v1Job?: object;
  readonly purpose: JobCheck['purpose'];
  readonly withOverrides: boolean;
}

/** @returns what the API of a control plane would answer @throws failure where nobody can be asked */
export async function checkLive(io: Io, { name, job, v1Job, purpose, withOverrides }: LiveCheck, chain: Chain | undefined): Promise<object> {
  const google = await connectGoogle(io, chain);
  const { checkJob } = await import('../../services/run/check-job.ts');
  const member = chain === undefined ? await callerOf(google) : `serviceAccount:${chain.email}`;
  const definition: JobCheck['definition'] =
    v1Job !== undefined
      ? { case: 'v1Job', value: decoded(() => fromJson(V1JobSchema, asMessageJson(v1Job))) }
      : job !== undefined
        ? { case: 'job', value: decoded(() => fromJson(JobSchema, asMessageJson(job))) }
        : { case: undefined };
  const { serviceAccount, state, findings } = await checkJob({ name, definition, purpose, withOverrides }, await googleAsker(google, member));
  const shown = findings.map((finding) => present({ ...finding, remedy: finding.remedy.replace(/^actas /, 'gcloud ') }));
  return present({ name, principal: member, serviceAccount, state, findings: shown });
}

/** As JSON of a message: what is empty is left out. */
function present(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));
}

function decoded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw failure(`The definition is not valid: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** As policies name it; a placeholder where the token does not say whose it is. */
async function callerOf(google: Google): Promise<string> {
  try {
    const { email } = (await google.find<{ email?: string }>('openidconnect.googleapis.com/v1', 'userinfo')) ?? {};
    if (email !== undefined) return `${email.endsWith('.gserviceaccount.com') ? 'serviceAccount' : 'user'}:${email}`;
  } catch (error) {
    if (!(error instanceof Untold)) throw error;
  }
  return 'PRINCIPAL';
}

async function googleAsker(google: Google, member: string): Promise<Asker> {
  const catalogue = loadCatalogue();
  const constraints = createConstraintChecks(createLiveOrgPolicies(google));
  const orgPolicies = createLiveOrgPolicies(google);
  const { constraintRefusals } = await import('../../services/run/constraints.ts');
  return {
    // Google has told the caller already what it may know: nothing has to be kept back here.
    isSelf: false,
    untold: async () => undefined,
    call: createCall(google, member, catalogue),
    facts: {
      account: (email) => findAccount(google, email),
      project: async (key) => unseenProject(key),
      isEnforced: (constraint, resource) => orgPolicies.isEnforced(constraint, resource),
    },
    async place({ projects }) {
      const project = await google.find<GoogleProject>(RESOURCE_MANAGER, `projects/${projects}`);
      if (project === undefined || (project.state !== undefined && project.state !== 'ACTIVE')) throw notFound(`Project '${projects}' not found or deleted.`);
      return { project_id: project.projectId ?? projects, number: project.name?.split('/')[1] ?? '' };
    },
    unseenPlace: ({ projects }) => unseenProject(projects),
    async stored(name) {
      try {
        const job = await google.find<object>(RUN, name);
        return job === undefined ? null : fromJson(JobSchema, asMessageJson(job), { ignoreUnknownFields: true });
      } catch (error) {
        if (error instanceof Untold) return undefined;
        throw error;
      }
    },
    constraints: (change, project) => constraintRefusals({ constraints }, change, project, { member, onlyAsks: true }),
    imageQuestion: (image) => imageQuestion(google, image),
    unasked: [{ topic: 'ORG_POLICY', about: 'custom constraints allow the job', message: 'Custom constraints are not read from Google.' }],
  };
}

/** Known by its name alone: whatever needs its number is not to be told. */
function unseenProject(key: string) {
  return {
    project_id: key,
    get number(): string {
      throw new Untold(`The number of project ${key} is not known: you may not read the project.`);
    },
  };
}

async function findAccount(google: Google, email: string) {
  const found = await google.find<{ email?: string; projectId?: string; disabled?: boolean }>(IAM, `projects/-/serviceAccounts/${email}`);
  return found === undefined ? undefined : { email: found.email ?? email, project_id: found.projectId ?? '', disabled: found.disabled === true ? 1 : 0 };
}

function createCall(google: Google, member: string, catalogue: RoleCatalogue): Asker['call'] {
  const isAllowed: Asker['call']['isAllowed'] = async ({ permission, resource }) => (await testPermission(google, permission, resource)).includes(permission);
  return {
    isAllowed,
    isMemberAllowed: (other, { permission, resource }) => isGranted(google, catalogue, { member: other, permission, resource }),
    async authorize(check, message) {
      if (await isAllowed(check)) return;
      const { permission, resource } = check;
      const asked = check.asked ?? resource.replace(/^\/\/[^/]+\//, '');
      throw permissionDenied(
        message ?? `Permission '${permission}' denied on resource '${asked}' (or resource may not exist).`,
        { permission, resource: asked, domain: 'run.googleapis.com' },
        remedyFor({ member, permission, resource }, catalogue),
      );
    },
  };
}

const JOB = /^projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/]+$/;

/** @returns those of the permissions that the caller has: what is not there it has none on @throws Untold */
async function testPermission(google: Google, permission: string, resource: string): Promise<readonly string[]> {
  const [, , host = '', ...rest] = resource.split('/');
  const path = rest.join('/');
  const body = { permissions: [permission] };
  const onProject = () => google.ask<{ permissions?: string[] }>(RESOURCE_MANAGER, `${rest.slice(0, 2).join('/')}:testIamPermissions`, body);
  if (host === 'artifactregistry.googleapis.com') {
    const answer = await google.ask<{ permissions?: string[] }>('artifactregistry.googleapis.com/v1', `${path}:testIamPermissions`, body);
    if (answer === undefined) throw new Untold(`${path} is not to be found.`);
    return answer.permissions ?? [];
  }
  // A job that is not there has no policy of its own; the project's decides, as it will for the new job.
  const answer =
    host === 'iam.googleapis.com'
      ? await google.ask<{ permissions?: string[] }>(IAM, `${path.replace(/^projects\/[^/]+/, 'projects/-')}:testIamPermissions`, body)
      : host === 'run.googleapis.com' && JOB.test(path)
        ? ((await google.ask<{ permissions?: string[] }>(RUN, `${path}:testIamPermissions`, body)) ?? (await onProject()))
        : await onProject();
  return answer?.permissions ?? [];
}
