/**
 * A job before its deploy: every question that the deploy and the run will ask, asked of one principal, each with its answer. The questions are
 * those of createJob, updateJob and runJob; who answers them, a control plane's store or Google, is the asker's (`Asker`).
 * Invariants: nothing is changed and nothing written to the audit trail as done; nobody learns here what a deploy would not tell them.
 */
import { create } from '@bufbuild/protobuf';
import { type ApiError, invalidArgument, isApiError } from '../../errors.ts';
import type { CheckJobRequest } from '../../gen/actas/v1/check_pb.js';
import type { Job as V1Job } from '../../gen/google/cloud/run/v1/resources_pb.js';
import { type Job, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { defaultServiceAccountEmail } from '../../store/service-accounts.ts';
import type { Check } from '../service.ts';
import { Untold } from '../untold.ts';
import { deployedAccountQuestions, type NamedAccount, namedAccount, runAccountQuestions } from './account-checks.ts';
import { createCheck, updateCheck } from './change-job.ts';
import { imageQuestions, imagesOf } from './deploy-checks.ts';
import { authorizeToken, validateToken } from './execution-token.ts';
import { missing, parseJobName, requireLocation } from './places.ts';
import { type Asked, askInOrder, type ProjectFacts, type Question, type RunFacts } from './question.ts';
import { refuseUnrunnable, runCheck } from './run-job.ts';
import { secretQuestions } from './secret-questions.ts';
import { jobToV2 } from './v1/objects.ts';
import { type DesiredJob, desiredJob, validateJobId } from './validate-job.ts';

export type FindingState = 'HOLDS' | 'MISSING' | 'UNKNOWN' | 'NOT_ASKED';

export interface Finding {
  readonly topic: Question['topic'];
  readonly state: FindingState;
  readonly about: string;
  readonly message: string;
  readonly remedy: string;
  readonly remedySentence: string;
}

/** Where answers come from, and what of them may be told. */
export interface Asker {
  /** Speaks of the principal that is asked about. */
  readonly call: Omit<Asked, 'warn'>;
  readonly facts: RunFacts;
  /** True where the principal asks for itself: it may know whatever its own deploy would tell it. */
  readonly isSelf: boolean;
  /** @returns why what this permission lets see is not to be told; undefined where it may be */
  untold(check: Check): Promise<string | undefined>;
  /** The project of the job. @throws NOT_FOUND */
  place(parts: { readonly projects: string; readonly locations: string }): Promise<ProjectFacts>;
  /** What stands for a project that could not be read, so that what needs its name alone is asked nevertheless. */
  readonly unseenPlace?: (parts: { readonly projects: string }) => ProjectFacts;
  /** Whether an image is there, where that can be told without pulling it; undefined: it is not asked. */
  readonly imageQuestion?: (image: string) => Question | undefined;
  /** Whether it can be told who may read a secret. */
  readonly asksSecrets?: boolean;
  /** What this asker does not look at, to be listed. */
  readonly unasked?: readonly Pick<Finding, 'topic' | 'about' | 'message'>[];
  /** The stored job; null: there is none; undefined: that is not to be told. */
  stored(name: string): Promise<Job | null | undefined>;
  /** Each organization policy that refuses the job. */
  constraints(change: { readonly job: Job; readonly name: string; readonly method: 'CREATE' | 'UPDATE' }, project: ProjectFacts): AsyncIterable<ApiError>;
}

export interface JobCheck {
  readonly name: string;
  readonly definition: CheckJobRequest['definition'];
  readonly purpose: 'DEPLOY' | 'RUN' | 'BOTH';
  readonly withOverrides: boolean;
}

export interface Report {
  readonly serviceAccount: string;
  readonly state: 'HOLDS' | 'MISSING' | 'UNKNOWN';
  readonly findings: readonly Finding[];
}

/** @throws INVALID_ARGUMENT where the name is none of a job, NOT_FOUND for one without a definition that is not stored; whatever else is wrong is a finding */
export async function checkJob(check: JobCheck, asker: Asker): Promise<Report> {
  const parts = parseJobName(check.name, 'name');
  validateJobId(parts.jobs, 'CreateJobRequest');
  const findings = new Findings(asker);
  const stored = await asker.stored(check.name);
  if (stored === null && check.definition.case === undefined) throw missing(check.name);
  const mayDeploy = check.purpose !== 'RUN' && (await askDeployer(check, stored, findings, asker));
  const mayRun = check.purpose !== 'DEPLOY' && (await findings.authorize('RUNNER', 'run the job', runnerCheck(check, stored)));
  const mayKnow = asker.isSelf && (mayDeploy || mayRun);
  const project = await placeOf(parts, mayKnow, findings, asker);
  const desired = await findings.get('DEFINITION', 'the definition is valid', async () => definitionOf(check, stored, defaultAccount(project)));
  if (desired === undefined) return { ...findings.report(), serviceAccount: '' };
  const about: Known = { check, parts, desired, project, mayDeploy, mayRun, isNew: !stored };
  if (check.purpose !== 'RUN') await askToken(about, findings, asker);
  const account = desired.task.serviceAccount;
  if (account === '' || project === undefined)
    for (const topic of ['ACT_AS', 'SERVICE_AGENT'] as const) findings.unknown(topic, 'the job may run as its account', 'The project of the job is not known to you, see above.');
  else await askAccount(account, project, about, findings, asker);
  if (check.purpose !== 'RUN') {
    await askImages(about, findings, asker);
    await askConstraints(about, findings, asker);
  }
  if (check.definition.case === undefined && stored) await findings.ask({ topic: 'READY', about: 'the stored job is ready', ask: async () => refuseUnrunnable(stored, '') });
  await askSecrets(about, findings, asker);
  for (const { topic, about: what, message } of asker.unasked ?? []) findings.notAsked(topic, what, message);
  return { ...findings.report(), serviceAccount: account };
}

/** Of a job that is not there the policy of its place decides, and there a remedy has to be. */
function runnerCheck({ name, withOverrides }: JobCheck, stored: Job | null | undefined): Check {
  const check = runCheck(name, withOverrides);
  return stored === null ? { ...check, resource: check.resource.replace(/\/jobs\/[^/]+$/, ''), asked: name } : check;
}

interface Known {
  readonly check: JobCheck;
  readonly parts: { readonly projects: string; readonly locations: string; readonly jobs: string };
  readonly desired: DesiredJob;
  readonly project: ProjectFacts | undefined;
  readonly mayDeploy: boolean;
  readonly mayRun: boolean;
  /** False where the job is known to be there. */
  readonly isNew: boolean;
}

/** Which of create and update applies is told to who may read the job; others are asked about both, and need the one that does. */
async function askDeployer({ name }: JobCheck, stored: Job | null | undefined, findings: Findings, asker: Asker): Promise<boolean> {
  const { projects, locations, jobs } = parseJobName(name, 'name');
  const creation = createCheck(`projects/${projects}/locations/${locations}`, jobs);
  const update = updateCheck(name);
  if (stored === null) return findings.authorize('DEPLOYER', 'create the job', creation);
  if (stored !== undefined) return findings.authorize('DEPLOYER', 'update the job', update);
  const [mayCreate, mayUpdate] = [await isAllowed(creation, asker), await isAllowed(update, asker)];
  for (const [may, other, about, needed] of [
    [mayCreate, mayUpdate, 'create the job', creation],
    [mayUpdate, mayCreate, 'update the job', update],
  ] as const)
    if (may !== false || other === false) await findings.authorize('DEPLOYER', about, needed);
    else findings.unknown('DEPLOYER', about, 'It may not, but whether the job exists, and so which permission applies, is told to who has run.jobs.get on it.');
  return mayCreate === true || mayUpdate === true;
}

/** @returns undefined where that is not to be told */
async function isAllowed(check: Check, { call }: Asker): Promise<boolean | undefined> {
  try {
    return await call.isAllowed(check);
  } catch (error) {
    if (error instanceof Untold) return undefined;
    throw error;
  }
}

async function placeOf(parts: { readonly projects: string; readonly locations: string }, mayKnow: boolean, findings: Findings, asker: Asker): Promise<ProjectFacts | undefined> {
  const about = `project ${parts.projects} and region ${parts.locations} are there`;
  const hidden = mayKnow
    ? undefined
    : await asker.untold({ permission: 'resourcemanager.projects.get', resource: `//cloudresourcemanager.googleapis.com/projects/${parts.projects}` });
  if (hidden !== undefined) {
    findings.unknown('PLACE', about, hidden);
    return undefined;
  }
  const seen = await findings.get('PLACE', about, async () => {
    requireLocation(parts.locations);
    return asker.place(parts);
  });
  return seen ?? (findings.last === 'UNKNOWN' ? asker.unseenPlace?.(parts) : undefined);
}

/** Empty where the project, or its number, is not known. */
function defaultAccount(project: ProjectFacts | undefined): string {
  try {
    return project === undefined ? '' : defaultServiceAccountEmail(project.number);
  } catch (error) {
    if (error instanceof Untold) return '';
    throw error;
  }
}

/** @throws INVALID_ARGUMENT */
function definitionOf({ name, definition }: JobCheck, stored: Job | null | undefined, account: string): DesiredJob {
  const { jobs } = parseJobName(name, 'name');
  const job =
    definition.case === 'v1Job'
      ? create(JobSchema, jobToV2(requireSameName(definition.value, jobs), name.slice(0, name.indexOf('/jobs/'))))
      : (definition.value ?? stored ?? undefined);
  if (job === undefined && definition.case === undefined) throw new Untold('The job is not to be read.');
  const request = stored === null ? 'CreateJobRequest' : 'UpdateJobRequest';
  validateToken(job, jobs, request);
  return desiredJob(job, request, account);
}

function requireSameName(job: V1Job, id: string): V1Job {
  const given = job.metadata?.name ?? '';
  if (given !== '' && given !== id) throw invalidArgument('metadata.name', `must be ${id}, as in the name, but is ${JSON.stringify(given)}.`);
  return job;
}

/** A definition with a token starts an execution by itself. One that the stored job had already asks for nothing. */
async function askToken({ check, parts, desired, isNew }: Known, findings: Findings, asker: Asker): Promise<void> {
  if (desired.job.createExecution.case === undefined || check.definition.case === undefined || desired.job.createExecution.value === '') return;
  const on = isNew ? `projects/${parts.projects}/locations/${parts.locations}` : check.name;
  await findings.ask({ topic: 'RUNNER', about: 'run the job with the deploy', ask: () => authorizeToken(desired.job, on, check.name, asker.call) });
}

/** What a deploy or run of its own would tell who passes, and others only where they may read what it depends on. */
async function askAccount(email: string, project: ProjectFacts, about: Known, findings: Findings, asker: Asker): Promise<void> {
  const named = nameOf(email, project);
  if (named instanceof Untold) return findings.unknown('ACT_AS', `act as ${email}`, named.message);
  const needed = whatIsRead(named);
  if (about.check.purpose !== 'RUN') return askEach(deployedAccountQuestions(email, project, asker.facts), needed, { atOnce: false, byActing: about.mayDeploy }, findings, asker);
  const questions = runAccountQuestions(email, project, asker.facts);
  // A run tells of the account of its job, not of whichever a file names.
  const passes = asker.isSelf && about.mayRun && about.check.definition.case === undefined;
  // Nor does it tell that an account is gone to who may not see it: then all there is to know is what the run would answer.
  if (passes && (await asker.untold(needed.ACCOUNT)) !== undefined)
    await findings.ask({ topic: 'SERVICE_AGENT', about: `the job may run as ${email}`, ask: (call) => askInOrder(questions, call) });
  else await askEach(questions, needed, { atOnce: passes, byActing: false }, findings, asker);
}

/** The permission that lets see what an answer depends on. */
function whatIsRead({ home, resource: account }: NamedAccount): { readonly [topic in AccountTopic]: Check } {
  const onProject = `//cloudresourcemanager.googleapis.com/projects/${home}`;
  return {
    ACT_AS: { permission: 'iam.serviceAccounts.getIamPolicy', resource: account },
    SERVICE_AGENT: { permission: 'iam.serviceAccounts.getIamPolicy', resource: account },
    ACCOUNT: { permission: 'iam.serviceAccounts.get', resource: account },
    ACCOUNT_ENABLED: { permission: 'iam.serviceAccounts.get', resource: account },
    CROSS_PROJECT: { permission: 'orgpolicy.policy.get', resource: onProject },
  };
}
type AccountTopic = 'ACT_AS' | 'SERVICE_AGENT' | 'ACCOUNT' | 'ACCOUNT_ENABLED' | 'CROSS_PROJECT';

/** @param passes whether who asks for itself hears everything from the first question on, or then when it may act as the account */
async function askEach(
  questions: readonly Question[],
  needed: { readonly [topic in Question['topic']]?: Check },
  passes: { readonly atOnce: boolean; readonly byActing: boolean },
  findings: Findings,
  asker: Asker,
): Promise<void> {
  let passed = passes.atOnce;
  let isGone = false;
  for (const question of questions) {
    const { topic, about } = question;
    const reads = needed[topic];
    const isOwn = asker.isSelf && topic === 'ACT_AS';
    const hidden = passed || isOwn || reads === undefined ? undefined : await asker.untold(reads);
    if (hidden !== undefined) findings.unknown(topic, about, hidden);
    else if (isGone && topic !== 'CROSS_PROJECT') findings.unknown(topic, about, 'The account does not exist, see above.');
    else {
      const holds = await findings.ask(question);
      if (isOwn) passed = holds && passes.byActing;
      if (topic === 'ACCOUNT') isGone = !holds && findings.last === 'MISSING';
    }
  }
}

/** A default account is of a project that its address names by number, which may not be known of the job's. */
function nameOf(email: string, project: ProjectFacts): NamedAccount | Untold {
  try {
    return namedAccount(email, project);
  } catch (error) {
    if (error instanceof Untold) return error;
    throw error;
  }
}

async function askImages({ desired, project, mayDeploy }: Known, findings: Findings, asker: Asker): Promise<void> {
  for (const image of imagesOf(desired.task)) {
    let passed = asker.isSelf && mayDeploy;
    const questions = project !== undefined && (passed || !asker.isSelf) ? await imageQuestions(image, project, asker.facts) : [];
    for (const question of questions) {
      const hidden = passed ? undefined : await asker.untold({ permission: 'resourcemanager.projects.getIamPolicy', resource: projectOfImage(image) });
      if (hidden !== undefined) findings.unknown(question.topic, question.about, hidden);
      else if (!(await findings.ask(question)) && question.topic === 'IMAGE_ACCESS') passed = false;
    }
    const there = asker.imageQuestion?.(image);
    if (there === undefined) findings.notAsked('IMAGE', `${image} is there`, 'Whether it is, and for which architecture, is found out when the job is deployed.');
    else await findings.ask(there);
  }
}

function projectOfImage(image: string): string {
  return `//cloudresourcemanager.googleapis.com/projects/${image.split('/')[1] ?? ''}`;
}

async function askConstraints({ desired, project, mayDeploy, isNew, parts }: Known, findings: Findings, asker: Asker): Promise<void> {
  const about = 'organization policies allow the job';
  const hidden =
    asker.isSelf && mayDeploy
      ? undefined
      : await asker.untold({ permission: 'orgpolicy.policy.get', resource: `//cloudresourcemanager.googleapis.com/projects/${parts.projects}` });
  if (hidden !== undefined || project === undefined) return findings.unknown('ORG_POLICY', about, hidden ?? 'The project of the job is not known to you, see above.');
  const name = `projects/${project.project_id}/locations/${parts.locations}/jobs/${parts.jobs}`;
  const refusals = asker.constraints({ job: desired.job, name, method: isNew ? 'CREATE' : 'UPDATE' }, project)[Symbol.asyncIterator]();
  // One line for each that refuses; where none does, one that says so.
  for (let count = 0; ; count += 1) {
    const next = await nextOf(refusals);
    if (next === undefined && count > 0) return;
    await findings.ask({
      topic: 'ORG_POLICY',
      about,
      async ask() {
        if (next !== undefined) throw next;
      },
    });
    if (next === undefined || next instanceof Untold) return;
  }
}

async function nextOf(refusals: AsyncIterator<ApiError>): Promise<ApiError | Untold | undefined> {
  try {
    const { done, value } = await refusals.next();
    return done === true ? undefined : value;
  } catch (error) {
    if (error instanceof Untold) return error;
    throw error;
  }
}

/** Where everything before holds, the deploy or run itself would tell who asks for itself. */
async function askSecrets({ desired, parts, project, mayDeploy, mayRun }: Known, findings: Findings, asker: Asker): Promise<void> {
  const atOnce = asker.isSelf && (mayDeploy || mayRun) && findings.report().state === 'HOLDS';
  for (const { question, reads } of secretQuestions(desired.task, project?.project_id ?? parts.projects))
    if (asker.asksSecrets === true) await askEach([question], { SECRETS: reads }, { atOnce, byActing: false }, findings, asker);
    else findings.notAsked('SECRETS', question.about, 'The deploy finds it out.');
}

/** Asks, and writes down. */
class Findings {
  readonly #all: Finding[] = [];
  readonly #asker: Asker;
  constructor(asker: Asker) {
    this.#asker = asker;
  }
  get last(): FindingState | undefined {
    return this.#all.at(-1)?.state;
  }
  /** @returns whether it holds */
  async ask(question: Question): Promise<boolean> {
    const { topic, about } = question;
    const warnings: string[] = [];
    await this.get(topic, about, async () => {
      await question.ask({ ...this.#asker.call, warn: (message) => void warnings.push(message) });
      return true;
    });
    const written = this.#all.at(-1);
    if (warnings.length > 0 && written !== undefined)
      this.#all[this.#all.length - 1] = {
        ...written,
        state: 'MISSING',
        message: warnings.join(' '),
        remedy: question.remedy?.command ?? '',
        remedySentence: question.remedy?.sentence ?? '',
      };
    return this.last === 'HOLDS';
  }
  authorize(topic: Question['topic'], about: string, check: Check): Promise<boolean> {
    return this.ask({ topic, about, ask: (call) => call.authorize(check) });
  }
  /** @returns what was asked for, undefined where it is missing or not known */
  async get<T>(topic: Question['topic'], about: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      const value = await read();
      this.#add(topic, 'HOLDS', about, '');
      return value;
    } catch (error) {
      if (error instanceof Untold) this.unknown(topic, about, error.message);
      else if (isApiError(error) && REFUSALS.has(error.status)) this.#add(topic, 'MISSING', about, error.message, remedyOf(error));
      else throw error;
      return undefined;
    }
  }
  unknown(topic: Question['topic'], about: string, why: string): void {
    this.#add(topic, 'UNKNOWN', about, why);
  }
  notAsked(topic: Question['topic'], about: string, why: string): void {
    this.#add(topic, 'NOT_ASKED', about, why);
  }
  report(): Pick<Report, 'state' | 'findings'> {
    const states = new Set(this.#all.map(({ state }) => state));
    return { state: states.has('MISSING') ? 'MISSING' : states.has('UNKNOWN') ? 'UNKNOWN' : 'HOLDS', findings: this.#all };
  }
  #add(topic: Question['topic'], state: FindingState, about: string, message: string, remedy = { command: '', sentence: '' }): void {
    this.#all.push({ topic, state, about, message, remedy: remedy.command, remedySentence: remedy.sentence });
  }
}

/** What a deploy or run answers because of the job and who asks; anything else is no finding, but a failure of the check. */
const REFUSALS: ReadonlySet<string> = new Set(['PERMISSION_DENIED', 'FAILED_PRECONDITION', 'INVALID_ARGUMENT', 'NOT_FOUND', 'ABORTED']);

/** The sentence and the command of a LocalizedMessage, as errors.ts puts them together. */
function remedyOf(error: ApiError): { command: string; sentence: string } | undefined {
  for (const detail of error.details) {
    if (detail.type !== 'google.rpc.LocalizedMessage') continue;
    const [sentence = '', ...lines] = detail.value.message.split('\n  ');
    return { sentence, command: lines.join('\n') };
  }
  return undefined;
}
