/**
 * `npm run demo`: the whole story on this machine, in about a minute. A deployer is refused, gets the missing grant, deploys a job, and
 * three real containers find out that they run as the job's service account. Only public ways in are used: the `actas` program,
 * the container engine's own interface, and a container image. Ends with 0 only if every step showed what it should; whatever it
 * started is stopped again, also after a failure or Ctrl-C.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { ensureEngine } from './engine.mjs';
import { createNarrator, type Narrator, shellWords } from './narrator.ts';
import { makeSampleImage } from './sample-image.ts';

const ACTAS = resolve(import.meta.dirname, '..', 'bin', 'actas.js');
const OWNER = 'user:owner@example.com';
const DEPLOYER = 'user:dev@example.com';
const ACCOUNT = 'hello-sa@demo.iam.gserviceaccount.com';
const TASKS = 3;
const UP_PATIENCE_MS = 60_000;

/** What has to be undone, last first. */
const cleanups: { readonly what: string; run(): Promise<void> | void }[] = [];
let interrupted: NodeJS.Signals | undefined;

async function main(): Promise<void> {
  const begun = Date.now();
  const write = (text: string): void => void process.stdout.write(text);
  const dataDir = mkdtempSync(join(tmpdir(), 'actas-demo-'));
  cleanups.push({ what: 'the data directory', run: () => rmSync(dataDir, { recursive: true, force: true }) });
  const env: NodeJS.ProcessEnv = { ...process.env, ACTAS_DATA_DIR: dataDir };
  // Settings of another control plane must not lead the demo there.
  for (const name of ['ACTAS_URL', 'ACTAS_TOKEN', 'ACTAS_API', 'ACTAS_PROJECT', 'ACTAS_REGION', 'ACTAS_CONFIG', 'CLOUDSDK_CORE_PROJECT', 'CLOUDSDK_RUN_REGION']) delete env[name];
  const story = createNarrator({ write, actas: [process.execPath, ACTAS], env, isColored: process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined });
  onInterrupt(story);

  story.say(
    'actas runs container jobs, and every job runs as a service account: an identity of its own, with only the rights that it was given. This demo shows that with real containers.',
  );
  const image = await prepareEngine(story, env);
  await startControlPlane(story, env, dataDir);
  await setUpPeople(story);
  await deploy(story, image);
  const execution = await execute(story);
  await readLogs(story, execution);
  await summarise(story, execution);
  story.heading('Your own image');
  story.say('Four commands run an image of yours (IMAGE) as its own identity (`npm link` once makes `actas` a command):');
  for (const line of [
    'actas up --detach',
    'actas iam service-accounts create my-job-sa',
    'actas run jobs deploy my-job --image=IMAGE --service-account=my-job-sa@demo.iam.gserviceaccount.com',
    'actas run jobs execute my-job --wait --logs',
  ])
    story.line(`  $ ${line}`);
  story.say(`\nAll steps showed what they should, in ${Math.round((Date.now() - begun) / 1000)} seconds.`);
}

async function prepareEngine(story: Narrator, env: NodeJS.ProcessEnv): Promise<string> {
  story.heading('A container engine, and an image to run');
  const engine = await ensureEngine({ log: (line) => story.say(line) });
  cleanups.push({ what: 'the container engine', run: () => engine.stop() });
  stopIfInterrupted();
  env['DOCKER_HOST'] = engine.dockerHost;
  const docker = await connect(engine.dockerHost);
  const image = `actas-demo-${process.pid}:latest`;
  story.say('Building the image of the sample job (examples/whoami)...');
  cleanups.push({
    what: 'the sample image',
    run: async () => {
      if (!engine.started) await removeImage(docker, image);
    },
  });
  const { origin } = await makeSampleImage(docker, image);
  stopIfInterrupted();
  story.check(true, `The image ${image} is made from ${origin}.`);
  return image;
}

async function connect(dockerHost: string): Promise<Docker> {
  // dockerode reads DOCKER_HOST where it is told nothing; it has no way to be told a URL.
  if (dockerHost.startsWith('unix://')) return new Docker({ socketPath: dockerHost.slice('unix://'.length) });
  process.env['DOCKER_HOST'] = dockerHost;
  return new Docker();
}

async function removeImage(docker: Docker, image: string): Promise<void> {
  try {
    await docker.getImage(image).remove({ force: true });
  } catch (error) {
    // It may never have been made.
    if (!(error instanceof Error && 'statusCode' in error && error.statusCode === 404)) throw error;
  }
}

/** Starts `actas up` on a directory of its own, and waits until it serves. */
async function startControlPlane(story: Narrator, env: NodeJS.ProcessEnv, dataDir: string): Promise<void> {
  story.heading('Start the control plane');
  story.say('It serves the Cloud Run jobs, IAM and Resource Manager APIs on one port of this machine.');
  const args = ['up', '--port=0', `--data-dir=${dataDir}`, `--ready-file=${join(dataDir, 'ready.json')}`, '--kill-on-stop'];
  story.line(`\n  $ actas ${args.slice(0, 2).join(' ')} --data-dir=${dataDir} --ready-file=...\n`);
  const logFile = join(dataDir, 'up.log');
  const log = openSync(logFile, 'a');
  // A group of its own: Ctrl-C reaches it through us, after the commands that use it.
  const server = spawn(process.execPath, [ACTAS, ...args], { env, stdio: ['ignore', log, log], detached: true });
  const ended = new Promise<string>((done) => {
    server.once('error', (error) => done(error.message));
    server.once('exit', (code, signal) => done(`it ended with ${signal ?? `exit code ${code}`}`));
  });
  let reason: string | undefined;
  void ended.then((why) => (reason = why));
  cleanups.push({
    what: 'the control plane',
    run: async () => {
      if (reason !== undefined) return;
      server.kill('SIGTERM');
      const timer = setTimeout(() => server.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(timer);
    },
  });
  const ready = join(dataDir, 'ready.json');
  const deadline = Date.now() + UP_PATIENCE_MS;
  while (!existsSync(ready)) {
    stopIfInterrupted();
    if (reason === undefined && Date.now() > deadline) reason = `it was not ready after ${UP_PATIENCE_MS / 1000} s`;
    if (reason !== undefined) throw new Error(`The control plane did not start: ${reason}. What it said:\n${readFileSync(logFile, 'utf8')}`);
    await sleep(50);
  }
  const { url }: { url: string } = JSON.parse(readFileSync(ready, 'utf8'));
  story.check(/^http:\/\/127\.0\.0\.1:\d+$/.test(url), `It serves on ${url}, for this machine only.`);
}

async function setUpPeople(story: Narrator): Promise<void> {
  story.heading('Who is who');
  story.say(
    `A first start makes the project "demo" and its owner, ${OWNER}. The owner's token is in a file that only you can read, so the commands below are the owner's. First the identity for the job:`,
  );
  await succeeds(story, ['iam', 'service-accounts', 'create', 'hello-sa', '--display-name=Identity of the job hello']);
  story.say('The job may look at jobs and executions of the project, and nothing else:');
  await succeeds(story, ['projects', 'add-iam-policy-binding', 'demo', `--member=serviceAccount:${ACCOUNT}`, '--role=roles/run.viewer']);
  story.say(`A colleague, ${DEPLOYER}, may create and run jobs:`);
  await succeeds(story, ['projects', 'add-iam-policy-binding', 'demo', `--member=${DEPLOYER}`, '--role=roles/run.developer']);
}

async function deploy(story: Narrator, image: string): Promise<void> {
  story.heading('The colleague deploys, and is refused');
  story.say('To let a job run as a service account, one needs the right to act as that account. The colleague has not got it. (With --as, the owner speaks as somebody else.)');
  const create = ['run', 'jobs', 'create', 'hello', `--image=${image}`, `--service-account=${ACCOUNT}`, `--as=${DEPLOYER}`];
  const refused = await story.actas(create);
  stopIfInterrupted();
  story.check(refused.code !== 0, `The command failed, as it should (exit code ${refused.code}).`);
  story.check(refused.output.includes(`Permission 'iam.serviceaccounts.actAs' denied on service account ${ACCOUNT}`), 'The refusal names the missing permission and the account.');
  const mend = /^\s*(actas .*add-iam-policy-binding .*)$/m.exec(refused.output)?.[1];
  story.check(mend !== undefined, 'It also says which command would mend it. The owner runs exactly that:');
  await succeeds(story, shellWords(mend ?? '').slice(1));
  story.say('The colleague tries again, with the same command as before:');
  await succeeds(story, create);
  story.check(true, 'The job exists.');
}

/** @returns the execution's name */
async function execute(story: Narrator): Promise<string> {
  story.heading('Run it');
  story.say(`One execution of the job, with ${TASKS} tasks. Every task is a container of its own.`);
  const { output } = await succeeds(story, ['run', 'jobs', 'execute', 'hello', '--wait', `--tasks=${TASKS}`, `--as=${DEPLOYER}`]);
  const execution = /\bhello-[a-z0-9]{5}\b/.exec(output)?.[0];
  if (execution === undefined) throw new Error('The command did not name the execution that it started.');
  story.check(true, `The execution ${execution} has ended well.`);
  return execution;
}

async function readLogs(story: Narrator, execution: string): Promise<void> {
  story.heading('What the containers said');
  story.say(
    "The program in the container has no key and no settings. Google's own library, google-auth-library, asked the metadata server who it is, as it would on Google Cloud. With the token it got there, the program called the control plane twice.",
  );
  const { output } = await succeeds(story, ['run', 'jobs', 'logs', 'read', 'hello', `--execution=${execution}`]);
  const lines = output.split('\n');
  for (let task = 0; task < TASKS; task += 1) {
    const own = lines.filter((line) => line.includes(`[task ${task}]`));
    const all =
      own.some((line) => line.includes(`I am ${ACCOUNT}`)) &&
      own.some((line) => line.includes('May I read my own job? Yes (HTTP 200)')) &&
      own.some((line) => line.includes('May I delete my own job? No (HTTP 403)') && line.includes("Permission 'run.jobs.delete' denied"));
    story.check(all, `Task ${task} was hello-sa. It could read its job (200); deleting it was refused for want of run.jobs.delete (403).`);
  }
}

async function summarise(story: Narrator, execution: string): Promise<void> {
  story.heading('The summary');
  await succeeds(story, ['run', 'jobs', 'executions', 'describe', execution]);
  story.say('And how many tasks succeeded, as a script would ask:');
  const counted = await succeeds(story, ['run', 'jobs', 'executions', 'describe', execution, '--format=value(succeededCount)']);
  story.check(counted.output.trim() === String(TASKS), `${TASKS} of ${TASKS} tasks succeeded.`);
}

async function succeeds(story: Narrator, args: readonly string[]): ReturnType<Narrator['actas']> {
  const result = await story.actas(args);
  stopIfInterrupted();
  if (result.code !== 0) throw new Error(`The command should have succeeded, but ended with exit code ${result.code}.`);
  return result;
}

function onInterrupt(story: Narrator): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (interrupted === undefined) process.stdout.write('\nStopping...\n');
      interrupted ??= signal;
      story.interrupt();
    });
}

function stopIfInterrupted(): void {
  if (interrupted !== undefined) throw new Error(`Interrupted (${interrupted}).`);
}

async function cleanUp(): Promise<boolean> {
  let clean = true;
  for (const { what, run } of cleanups.reverse()) {
    try {
      await run();
    } catch (error) {
      clean = false;
      console.error(`Could not clean up ${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return clean;
}

let outcome = 0;
try {
  await main();
} catch (error) {
  outcome = interrupted === undefined ? 1 : 130;
  console.error(`\nThe demo did not get to its end. ${error instanceof Error ? error.message : String(error)}`);
}
process.exitCode = (await cleanUp()) ? outcome : outcome || 1;
