/** The service identity of a job, step by step, told once and run by each way on a control plane of its own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultSeed } from '../../src/seed/seed.ts';
import type { TestServer } from '../harness/server.ts';
import { startTestServer } from '../harness/server.ts';
import type { Terraform } from '../terraform/program.ts';
import { cliWay, gcloudWay, hasGcloud, yamlWay } from './commands.ts';
import { apiWay, recordedGcloudWay } from './requests.ts';
import { terraformRequestsWay, terraformWay } from './terraform.ts';
import { type Answer, NUMBER, PROJECT, type Way } from './way.ts';

const DEPLOYER = 'user:dev@example.com';
const HEIR = 'user:heir@example.com';
const OTHER = 'shared';
const CONSTRAINT = 'iam.disableCrossProjectServiceAccountUsage';
const USER = 'roles/iam.serviceAccountUser';
const DEFAULT = `${NUMBER}-compute@developer.gserviceaccount.com`;
const AGENT = `serviceAccount:service-${NUMBER}@serverless-robot-prod.iam.gserviceaccount.com`;
const email = (id: string, project = PROJECT) => `${id}@${project}.iam.gserviceaccount.com`;
const account = (id: string, project = PROJECT) => `projects/${project}/serviceAccounts/${email(id, project)}`;

interface Step {
  readonly topic: string;
  readonly title: string;
  /** Ways that have nothing of their own for this step; it is done all the same, for the steps after it. */
  readonly notOf?: readonly string[];
  run(way: Way): Promise<void>;
}

async function works(answer: Promise<Answer>, words: string | RegExp = ''): Promise<void> {
  const { ok, text } = await answer;
  if (!ok) throw new Error(`was refused: ${text}`);
  if (!(typeof words === 'string' ? text.includes(words) : words.test(text))) throw new Error(`does not say ${words}: ${text}`);
}

async function refused(answer: Promise<Answer>, words: string | RegExp): Promise<void> {
  const { ok, text } = await answer;
  if (ok) throw new Error('was allowed');
  if (!(typeof words === 'string' ? text.includes(words) : words.test(text))) throw new Error(`is refused without saying ${words}: ${text}`);
}

async function runsAs(way: Way, job: string, address: string): Promise<void> {
  const { text } = await way.accountOf(job);
  if (text !== address) throw new Error(`${job} runs as ${text}, not as ${address}`);
}

const ACT_AS = /iam\.serviceaccounts\.actAs/i;

const OWN: readonly Step[] = [
  {
    topic: 'Required roles',
    title: 'An administrator creates the accounts that jobs shall run as',
    notOf: ['YAML'],
    async run(way) {
      for (const id of ['first-sa', 'second-sa', 'third-sa']) await works(way.createAccount({ project: PROJECT, id }), id);
    },
  },
  {
    topic: 'Required roles',
    title: 'A deployer without a role on the account is refused, and the permission is named',
    run: (way) => refused(way.createJob('hello', email('first-sa'), DEPLOYER), ACT_AS),
  },
  {
    topic: 'Required roles',
    title: 'An administrator grants the deployer Service Account User on the account',
    run: (way) => works(way.grant(account('first-sa'), DEPLOYER, USER), DEPLOYER),
  },
  {
    topic: 'Required roles',
    title: 'A custom role that holds the permission serves as well',
    async run(way) {
      await works(way.createRole(PROJECT, 'attach', 'iam.serviceAccounts.actAs'));
      await works(way.grant(account('second-sa'), DEPLOYER, `projects/${PROJECT}/roles/attach`));
    },
  },
  {
    topic: 'Required roles',
    title: 'A role on the project, inherited, serves as well',
    async run(way) {
      await refused(way.createJob('inherited', email('third-sa'), HEIR), ACT_AS);
      await works(way.grant(`projects/${PROJECT}`, HEIR, USER));
      await works(way.createJob('inherited', email('third-sa'), HEIR));
    },
  },
  {
    topic: 'Setting the identity',
    title: 'A new job is given its identity',
    async run(way) {
      await works(way.createJob('hello', email('first-sa'), DEPLOYER));
      await runsAs(way, 'hello', email('first-sa'));
    },
  },
  {
    topic: 'Setting the identity',
    title: 'A job that names none runs as the default account of its project',
    async run(way) {
      await refused(way.createJob('plain', undefined, DEPLOYER), ACT_AS);
      await works(way.grant(`projects/${PROJECT}/serviceAccounts/${DEFAULT}`, DEPLOYER, USER));
      await works(way.createJob('plain', undefined, DEPLOYER));
      await runsAs(way, 'plain', DEFAULT);
    },
  },
  {
    topic: 'Setting the identity',
    title: 'An existing job is given another identity',
    async run(way) {
      await works(way.updateJob('hello', email('second-sa'), DEPLOYER));
      await runsAs(way, 'hello', email('second-sa'));
    },
  },
  {
    topic: 'Setting the identity',
    title: 'An existing job is not given an identity that the deployer may not use',
    async run(way) {
      await refused(way.updateJob('hello', email('third-sa'), DEPLOYER), ACT_AS);
      await runsAs(way, 'hello', email('second-sa'));
    },
  },
  {
    topic: 'Setting the identity',
    title: 'A job is exported, its account changed in the file, and replaced',
    notOf: ['Terraform'],
    async run(way) {
      await works(way.replaceJob('hello', email('first-sa'), DEPLOYER));
      await runsAs(way, 'hello', email('first-sa'));
    },
  },
  {
    topic: 'The identity as a principal',
    title: 'The account may do nothing until it is granted a role, and then what the role says',
    async run(way) {
      const principal = `serviceAccount:${email('first-sa')}`;
      await refused(way.listJobs(principal), 'run.jobs.list');
      await works(way.grant(`projects/${PROJECT}`, principal, 'roles/run.viewer'), principal);
      await works(way.listJobs(principal), 'hello');
    },
  },
  { topic: 'The identity as a principal', title: 'The job is executed', notOf: ['Terraform'], run: (way) => works(way.execute('hello', DEPLOYER), 'hello-') },
];

const ACROSS: readonly Step[] = [
  {
    topic: "Another project's account",
    title: 'The account is created in its project',
    notOf: ['YAML'],
    run: (way) => works(way.createAccount({ project: OTHER, id: 'across-sa' }), 'across-sa'),
  },
  {
    topic: "Another project's account",
    title: 'Without any grant the deployer is refused',
    run: (way) => refused(way.createJob('across', email('across-sa', OTHER), DEPLOYER), ACT_AS),
  },
  {
    topic: "Another project's account",
    title: 'The deployer is granted Service Account User on it',
    async run(way) {
      await works(way.grant(account('across-sa', OTHER), DEPLOYER, USER), DEPLOYER);
      for (const member of ['user:test-user@example.com', 'group:admins@example.com', `serviceAccount:${email('third-sa')}`, 'domain:example.com'])
        await works(way.grant(account('across-sa', OTHER), member, USER), member);
    },
  },
  {
    topic: "Another project's account",
    title: 'The job is still refused, for the organization policy',
    run: (way) => refused(way.createJob('across', email('across-sa', OTHER), DEPLOYER), CONSTRAINT),
  },
  {
    topic: "Another project's account",
    title: 'The constraint is found to be enforced, and turned off in the account’s project',
    async run(way) {
      await works(way.isEnforced(OTHER, CONSTRAINT), 'true');
      await works(way.disableEnforce(OTHER, CONSTRAINT));
      await works(way.isEnforced(OTHER, CONSTRAINT), 'false');
    },
  },
  {
    topic: "Another project's account",
    title: 'The job is still refused, for the service agent',
    run: (way) => refused(way.createJob('across', email('across-sa', OTHER), DEPLOYER), /iam\.serviceAccounts\.getAccessToken|serverless-robot-prod/),
  },
  {
    topic: "Another project's account",
    title: 'The service agent of the job’s project is granted Service Account Token Creator',
    run: (way) => works(way.grant(account('across-sa', OTHER), AGENT, 'roles/iam.serviceAccountTokenCreator'), AGENT),
  },
  {
    topic: "Another project's account",
    title: 'The job is created with that identity, and executed',
    async run(way) {
      await works(way.createJob('across', email('across-sa', OTHER), DEPLOYER));
      await runsAs(way, 'across', email('across-sa', OTHER));
      await works(way.execute('across', DEPLOYER), 'across-');
    },
  },
];

export const STEPS: readonly Step[] = [...OWN, ...ACROSS];

export interface Column {
  readonly name: string;
  /** For each step: undefined where it passed, what went wrong, or `null` where the way has nothing of its own. */
  readonly outcomes: readonly (undefined | null | string)[];
}

/** Tells the story by one way. A step that failed does not end it: later ones say what they can. */
async function tell(way: Way): Promise<Column> {
  const outcomes: (undefined | null | string)[] = [];
  for (const step of STEPS) {
    const fault = await step.run(way).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    outcomes.push(fault === undefined && step.notOf?.includes(way.name) === true ? null : fault);
  }
  return { name: way.name, outcomes };
}

/**
 * @param options.real a gcloud that is on the PATH is run; its requests as recorded stand for it otherwise
 * @param options.terraform is run for what its providers know; requests stand for it otherwise
 */
export async function tellByEachWay(dir: string, options: { readonly real: boolean; readonly terraform?: Terraform }): Promise<readonly Column[]> {
  const seedFile = join(dir, 'seed.json');
  const seed = defaultSeed();
  const projects = [...seed.projects, { id: OTHER, number: '210987654321', parent: 'organizations/111111111111' }];
  const deployers = { resource: `projects/${PROJECT}`, bindings: [{ role: 'roles/run.developer', members: [DEPLOYER, HEIR] }] };
  writeFileSync(seedFile, JSON.stringify({ ...seed, projects, policies: [...seed.policies, deployers] }));
  const columns: Column[] = [];
  const { terraform } = options;
  const byTerraform = terraform === undefined ? terraformRequestsWay : (server: TestServer) => terraformWay(terraform, server);
  for (const make of [options.real && hasGcloud() ? gcloudWay : recordedGcloudWay, cliWay, yamlWay, apiWay, byTerraform]) {
    const server: TestServer = await startTestServer({ seed: seedFile });
    const made = make(server);
    try {
      columns.push(await tell('way' in made ? made.way : made));
    } finally {
      if ('way' in made) made.close();
      await server.close();
    }
  }
  return columns;
}

/** The page that is kept. */
export function acceptancePage(columns: readonly Column[]): string {
  const cell = (outcome: undefined | null | string) => (outcome === undefined ? 'pass' : outcome === null ? '–' : '**FAIL**');
  const all = columns.flatMap(({ outcomes }) => outcomes);
  const passed = all.filter((outcome) => outcome === undefined).length;
  const failed = all.filter((outcome) => typeof outcome === 'string').length;
  return `# The service identity of a job, by each way

Made by \`npm run acceptance\`, and held against the program by \`npm test\`; not edited. Each column tells the whole story from the beginning, on a control
plane of its own. In the column gcloud \`npm run acceptance\` runs a real gcloud where one is on the PATH; otherwise, and in \`npm test\`, its
requests are sent as recorded, in its order. YAML is \`actas\` with files: jobs (\`run jobs replace\`), allow policies, roles, organization policies.
The API is Cloud Run v2, and v1 where a job is replaced. In the column Terraform \`npm run acceptance\` runs a real terraform for the resource types that a
google provider at hand knows ([how one is found](terraform.md#how-it-is-tested)); what it does not know, and in \`npm test\` all of it, is sent as
the provider sends it. What Terraform has no resource for (an execution, what a policy comes to) is asked of the API. A dash: the way has nothing of its own for
the step.

| Step | ${columns.map(({ name }) => name).join(' | ')} |
|---|${columns.map(() => '---').join('|')}|
${STEPS.map(({ topic, title }, i) => `| ${topic === STEPS[i - 1]?.topic ? '' : `**${topic}.** `}${title} | ${columns.map(({ outcomes }) => cell(outcomes[i])).join(' | ')} |`).join('\n')}

${passed} passed, ${failed} failed.
`;
}
