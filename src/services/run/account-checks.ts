/**
 * Whether a job may run as its service account: the deployer acts as it (create and update alone), its project lets it be used elsewhere, and
 * the service agent of the job's project can make its tokens. In this order, each with its own words and its own remedy. The last two are
 * asked again for every run, and by the metadata server for every token that it makes.
 *
 * Existence is never told to who may not know: an account that is missing and one that is forbidden get the same words.
 */
import { type ApiError, failedPrecondition, permissionDenied } from '../../errors.ts';
import { projectOfServiceAccount } from '../../policy/resource.ts';
import { serviceAgentEmail } from '../../store/service-accounts.ts';
import type { AccountFacts, ProjectFacts, Question, RunFacts } from './question.ts';

const CROSS_PROJECT = 'iam.disableCrossProjectServiceAccountUsage';
const ACT_AS = 'iam.serviceAccounts.actAs';
const GET_ACCESS_TOKEN = 'iam.serviceAccounts.getAccessToken';

/** An account as a template names it, before anybody knows whether it exists. */
export interface NamedAccount {
  readonly email: string;
  /** Id of its project, or the number where only that is named. */
  readonly home: string;
  /** Full resource name. */
  readonly resource: string;
}

/** @param project of the job */
export function namedAccount(email: string, project: ProjectFacts): NamedAccount {
  const named = projectOfServiceAccount(email) ?? project.project_id;
  const home = /^\d/.test(named) && named === project.number ? project.project_id : named;
  return { email, home, resource: `//iam.googleapis.com/projects/${home}/serviceAccounts/${email}` };
}

/** What a create or update asks about the account in its template. @param project of the job */
export function deployedAccountQuestions(email: string, project: ProjectFacts, facts: RunFacts): readonly Question[] {
  const named = namedAccount(email, project);
  const { resource } = named;
  const words = `Permission 'iam.serviceaccounts.actAs' denied on service account ${email} (or it may not exist).`;
  const account = once(() => facts.account(email));
  return [
    { topic: 'ACT_AS', about: `act as ${email}`, ask: (call) => call.authorize({ permission: ACT_AS, resource }, words) },
    {
      topic: 'ACCOUNT',
      about: `${email} exists`,
      async ask() {
        if ((await account()) === undefined) throw permissionDenied(words, { permission: ACT_AS, resource: asked(resource), domain: 'iam.googleapis.com' }, creation(named));
      },
    },
    ...useQuestions(named, account, project, facts),
  ];
}

/** What a run asks about the account of its job; the caller need not be allowed to act as it. @param email as stored in the job */
export function runAccountQuestions(email: string, project: ProjectFacts, facts: RunFacts): readonly Question[] {
  const named = namedAccount(email, project);
  const account = once(() => facts.account(email));
  return [
    {
      topic: 'ACCOUNT',
      about: `${email} exists`,
      async ask(call) {
        if ((await account()) !== undefined) return;
        // Nobody can make tokens of an account that is gone. Whose business its existence is hears that, others what they would hear anyhow.
        const mayKnow = await call.isAllowed({ permission: 'iam.serviceAccounts.get', resource: named.resource });
        throw agentDenied(named, project, mayKnow ? creation(named) : undefined);
      },
    },
    ...useQuestions(named, account, project, facts),
  ];
}

/** Asked of an account that exists: where it does not, who asks in order has failed before. */
function useQuestions(named: NamedAccount, account: () => Promise<AccountFacts | undefined>, project: ProjectFacts, facts: RunFacts): readonly Question[] {
  const { email, home } = named;
  const isForeign = home !== project.project_id;
  const crossProject: Question = {
    topic: 'CROSS_PROJECT',
    about: `accounts of project ${home} may be used in others`,
    async ask() {
      // An address names its project by id, but for default accounts, which name it by number.
      const owner = /^\d/.test(home) ? ((await account())?.project_id ?? home) : home;
      if (await facts.isEnforced(CROSS_PROJECT, `//cloudresourcemanager.googleapis.com/projects/${owner}`)) throw crossProjectRefused(email, owner, project);
    },
  };
  const agent: Question = {
    topic: 'SERVICE_AGENT',
    about: `the service agent makes tokens of ${email}`,
    async ask(call) {
      const known = /^\d/.test(home) ? await account() : undefined;
      const resource = known === undefined ? named.resource : `//iam.googleapis.com/projects/${known.project_id}/serviceAccounts/${known.email}`;
      if (await call.isMemberAllowed(`serviceAccount:${serviceAgentEmail(project.number)}`, { permission: GET_ACCESS_TOKEN, resource })) return;
      throw agentDenied({ ...named, resource, home: known?.project_id ?? home }, project);
    },
  };
  const enabled: Question = {
    topic: 'ACCOUNT_ENABLED',
    about: `${email} is enabled`,
    remedy: {
      sentence: `Ask someone who may enable service accounts of project ${home} to run:`,
      command: `actas iam service-accounts enable ${email} --project=${home}`,
    },
    async ask(call) {
      // Deviation: whether Cloud Run refuses to attach a disabled account is not documented. Here it may be attached and run, with a warning: its tokens are refused, as documented.
      if ((await account())?.disabled === 1) call.warn(`Service account ${email} is disabled: tasks that run as it get no tokens until it is enabled.`);
    },
  };
  return isForeign ? [crossProject, agent, enabled] : [agent, enabled];
}

function crossProjectRefused(email: string, owner: string, project: ProjectFacts): ApiError {
  // The words are those of Compute Engine; what Cloud Run itself says is not on record.
  return failedPrecondition(
    `Constraint constraints/${CROSS_PROJECT} violated for project ${project.project_id} attempting to use a service account from a different project.`,
    { type: `constraints/${CROSS_PROJECT}`, subject: `projects/${owner}`, description: `${email} cannot be used in project ${project.project_id}` },
    {
      sentence: `Ask someone who may set the organization policies of project ${owner} to run:`,
      command: `actas resource-manager org-policies disable-enforce ${CROSS_PROJECT} --project=${owner}`,
    },
  );
}

/** @param remedy without it: the grant that the agent lacks, on the account where it is another project's, else the agent's own role */
function agentDenied({ email, home, resource }: NamedAccount, project: ProjectFacts, remedy?: { sentence: string; command: string }): ApiError {
  const agent = serviceAgentEmail(project.number);
  const isForeign = home !== project.project_id && home !== project.number;
  return permissionDenied(
    `Google Cloud Run Service Agent does not have permission to get access tokens for the service account ${email}. Please give ${agent} permission ${GET_ACCESS_TOKEN} on the service account. ` +
      'Alternatively, if the service account is unspecified or in the same project you are deploying in, ensure that the Service Agent is assigned the Google Cloud Run Service Agent role roles/run.serviceAgent.',
    { permission: GET_ACCESS_TOKEN, resource: asked(resource), domain: 'iam.googleapis.com' },
    remedy ??
      (isForeign
        ? {
            sentence: `Ask someone who may set the policy of service account ${email} to run:`,
            command: `actas iam service-accounts add-iam-policy-binding ${email} --project=${home} --member=serviceAccount:${agent} --role=roles/iam.serviceAccountTokenCreator`,
          }
        : {
            sentence: `Ask someone who may set the policy of project ${project.project_id} to run:`,
            command: `actas projects add-iam-policy-binding ${project.project_id} --member=serviceAccount:${agent} --role=roles/run.serviceAgent`,
          }),
  );
}

function creation({ email, home }: NamedAccount) {
  return {
    sentence: `Policies of project ${home} let you know of its accounts, and this one does not exist. Create it:`,
    command: `actas iam service-accounts create ${email.slice(0, email.indexOf('@'))} --project=${home}`,
  };
}

function asked(resource: string): string {
  return resource.slice('//iam.googleapis.com/'.length);
}

function once<T>(read: () => Promise<T>): () => Promise<T> {
  let held: Promise<T> | undefined;
  return () => (held ??= read());
}
