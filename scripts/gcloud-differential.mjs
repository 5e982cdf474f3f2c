/**
 * The same flags given to gcloud and to `actas run jobs` must leave the same job: each case makes a job with each program, changes both the same way, and
 * compares what the API (v2) answers of them after every step. And the same `--format` must print the same.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual, stripVTControlCharacters } from 'node:util';

const IMAGE = '--image=us-docker.pkg.dev/cloudrun/container/job:latest';
const KEY = 'projects/demo/locations/us-central1/keyRings/r/cryptoKeys/k';
const CONNECTOR = 'projects/demo/locations/us-central1/connectors/c';

/**
 * Each step is a verb with its flags, or `fails` and a step that both must refuse. ENV_FILE stands for a file of variables.
 * @type {[string, (string | string[])[][]][]}
 */
const CASES = [
  [
    'counts',
    [
      ['create', IMAGE, '--tasks=3', '--parallelism=2', '--max-retries=0', '--task-timeout=1h30m', '--labels=a=b,c=d'],
      ['update', '--tasks=5', '--task-timeout=90'],
    ],
  ],
  [
    'commands',
    [
      ['create', IMAGE, '--command=sh,-c', '--args=^;^echo a,b;x'],
      ['update', '--args=', '--command='],
    ],
  ],
  [
    'variables',
    [
      ['create', IMAGE, '--set-env-vars=A=1,B=x=y', '--set-env-vars=C=3'],
      ['update', '--update-env-vars=^;^B=a,b;D=4', '--remove-env-vars=A'],
      ['update', '--set-env-vars=E=5'],
      ['update', '--env-vars-file=ENV_FILE'],
      ['update', '--clear-env-vars'],
    ],
  ],
  [
    'secrets',
    [
      ['create', IMAGE, '--set-env-vars=A=1', '--set-secrets=S=db:latest,/etc/db/pass=db:1,/etc/db/user=db:2,/etc/key/k=key:latest'],
      ['update', '--update-secrets=S=db:3,T=projects/123456789012/secrets/other:4,/etc/db/pass=db:5'],
      ['fails', 'update', '--update-env-vars=S=literal'],
      ['fails', 'update', '--update-secrets=A=db:1'],
      ['update', '--remove-secrets=T,/etc/db/user'],
      ['update', '--set-env-vars=B=2'],
      ['update', '--set-secrets=/etc/new/n=new:1'],
      ['update', '--clear-secrets'],
    ],
  ],
  [
    'labels',
    [
      ['create', IMAGE, '--labels=a=1,b=2'],
      ['update', '--labels=c=3'],
      ['update', '--update-labels=a=9', '--remove-labels=b'],
      ['update', '--clear-labels', '--update-labels=z=1'],
      ['update', '--clear-labels'],
    ],
  ],
  [
    'volumes',
    [
      [
        'create',
        IMAGE,
        '--add-volume=name=m,type=in-memory,size-limit=64Mi',
        '--add-volume=name=g,type=cloud-storage,bucket=my-bucket,readonly=true',
        '--add-volume=name=n,type=nfs,location=10.0.0.2:/export/a',
        '--add-volume-mount=volume=m,mount-path=/m',
        '--add-volume-mount=volume=g,mount-path=/g',
      ],
      ['update', '--remove-volume=m', '--add-volume=name=m,type=in-memory'],
      ['update', '--remove-volume-mount=/g', '--remove-volume=g', '--add-volume-mount=volume=n,mount-path=/n'],
      ['update', '--clear-volume-mounts', '--clear-volumes'],
    ],
  ],
  [
    'network',
    [
      ['create', IMAGE, '--network=default', '--subnet=sub', '--network-tags=t1,t2', '--vpc-egress=all-traffic'],
      ['update', '--network-tags=t3'],
      ['update', '--clear-network-tags', '--subnet=other'],
      ['update', '--clear-network'],
      ['update', '--vpc-connector=short', '--vpc-egress=private-ranges-only'],
      ['update', `--vpc-connector=${CONNECTOR}`],
      ['update', '--clear-vpc-connector'],
    ],
  ],
  [
    'cloud sql',
    [
      ['create', IMAGE, '--set-cloudsql-instances=one,other:europe-west1:two'],
      ['update', '--add-cloudsql-instances=three'],
      ['update', '--remove-cloudsql-instances=one'],
      ['update', '--set-cloudsql-instances=four'],
      ['update', '--clear-cloudsql-instances'],
    ],
  ],
  [
    'platform',
    [
      ['create', IMAGE, `--key=${KEY}`, '--binary-authorization=default', '--breakglass=it burns', '--execution-environment=gen2'],
      ['update', '--tasks=2'],
      ['update', '--clear-binary-authorization'],
    ],
  ],
  [
    'an image alone',
    [
      ['create', IMAGE],
      ['update', '--image=busybox:1'],
      ['update', IMAGE, '--memory=1Gi', '--cpu=2'],
    ],
  ],
  [
    'containers',
    [
      [
        'create',
        '--tasks=2',
        '--add-volume=name=v,type=in-memory',
        '--container=app',
        IMAGE,
        '--depends-on=proxy,cache',
        '--set-env-vars=A=1',
        '--add-volume-mount=volume=v,mount-path=/v',
      ].concat(['--container=proxy', '--image=proxy:1', '--args=-v,-x', '--cpu=1', '--memory=512Mi', '--set-secrets=P=p:1', '--container', 'cache', '--image', 'cache:1']),
      ['update', '--container=proxy', '--update-env-vars=B=2', '--remove-secrets=P', '--container=app', '--cpu=2', '--memory=1Gi', '--container=proxy', '--args='],
      ['update', '--remove-containers=cache'],
      ['update', '--container=log', '--image=log:1', '--add-volume-mount=volume=v,mount-path=/logs'],
    ],
  ],
  [
    'an account',
    [
      ['create', IMAGE, '--service-account=hello-sa@demo.iam.gserviceaccount.com'],
      ['update', '--image=busybox:2'],
      ['update', '--service-account=123456789012-compute@developer.gserviceaccount.com'],
    ],
  ],
  [
    'deploy',
    [
      ['deploy', IMAGE, '--set-env-vars=A=1', '--tasks=2'],
      ['deploy', IMAGE, '--update-env-vars=B=2', '--labels=x=y'],
      ['deploy', IMAGE, '--clear-env-vars', '--max-retries=5'],
    ],
  ],
  [
    'a GPU',
    [
      ['beta create', IMAGE, '--gpu=1', '--gpu-type=nvidia-l4', '--cpu=4', '--memory=16Gi'],
      ['beta update', '--gpu=0'],
    ],
  ],
  [
    'refusals',
    [
      ['create', IMAGE],
      ['fails', 'update', '--set-env-vars=A=1', '--update-env-vars=B=2'],
      ['fails', 'update', '--set-secrets=A=s:1', '--clear-secrets'],
      ['fails', 'update', '--labels=a=b', '--update-labels=c=d'],
      ['fails', 'update', '--clear-network', '--network=default'],
      ['fails', 'update', '--set-cloudsql-instances=a', '--clear-cloudsql-instances'],
      ['fails', 'update', '--async', '--wait'],
      ['fails', 'update', '--image=x', '--container=a', '--cpu=1'],
      ['fails', 'update', '--container=a', IMAGE, '--tasks=3'],
      ['fails', 'update', '--add-volume=name=x,type=floppy'],
      ['fails', 'update', '--set-secrets=A=noversion'],
      ['fails', 'update', '--tasks=0'],
    ],
  ],
];

/** Values of flags that may stand together, for cases that nobody thought of. */
const POOL = {
  job: [
    ['--tasks=4', '--tasks=7'],
    ['--parallelism=0', '--parallelism=1'],
    ['--max-retries=0', '--max-retries=9'],
    ['--task-timeout=45', '--task-timeout=2h5m'],
    ['--labels=env=dev', '--labels=env=prod,team=a'],
    ['--network=net', '--network=net2'],
    ['--vpc-egress=all', '--vpc-egress=private-ranges-only'],
    ['--set-cloudsql-instances=db1', '--set-cloudsql-instances=db1,db2'],
    [`--key=${KEY}`],
    ['--binary-authorization=default', '--binary-authorization=projects/demo/platforms/cloudRun/strict'],
    ['--breakglass=because'],
    ['--add-volume=name=t,type=in-memory', '--add-volume=name=t,type=in-memory,size-limit=1Gi'],
  ],
  container: [
    ['--command=a', '--command=python,-u'],
    ['--args=x', '--args=^:^a,b:c'],
    ['--cpu=1 --memory=2Gi', '--cpu=2 --memory=4Gi'],
    ['--set-env-vars=A=1,B=2', '--set-env-vars=C=', '--update-env-vars=A=9,D=4', '--update-env-vars=D=5 --remove-env-vars=A', '--clear-env-vars'],
    ['--set-secrets=S=s:1', '--update-secrets=S=s:latest,/x/y=z:1', '--remove-secrets=S', '--clear-secrets', '--update-secrets=/x/w=z:2'],
  ],
};

/** A small generator, so that a seed gives the same cases again (mulberry32). */
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @returns {[string, string[][]][]} */
function generatedCases(count, seed) {
  const random = randomOf(seed);
  const pick = (pool, chance) => pool.flatMap((values) => (random() < chance ? (values[Math.floor(random() * values.length)] ?? '').split(' ') : []));
  return Array.from({ length: count }, (_, index) => {
    const several = random() < 0.4;
    const flags = (verb) =>
      several
        ? [
            verb,
            ...pick(POOL.job, 0.3),
            '--container=app',
            ...(verb === 'create' ? [IMAGE] : []),
            ...pick(POOL.container, 0.5),
            '--container=side',
            ...(verb === 'create' ? ['--image=side:1'] : []),
            ...pick(POOL.container, 0.4),
          ]
        : [verb, ...pick(POOL.job, 0.3), ...(verb === 'create' ? [IMAGE] : []), ...pick(POOL.container, 0.5)];
    return [`generated ${index + 1}`, [flags('create'), flags('update'), flags('update')]];
  });
}

/** What differs by itself: names, times, who and with which program, and how far the server is. */
const OWN = ['name', 'uid', 'generation', 'createTime', 'updateTime', 'etag', 'client', 'clientVersion', 'observedGeneration', 'terminalCondition', 'conditions', 'reconciling'];

/** A job without what differs by itself. Volumes that gcloud names at random are named by what is in them; the order of volumes and mounts says nothing. */
export function comparable(job) {
  const kept = structuredClone(job);
  for (const key of OWN) delete kept[key];
  delete kept.template.labels?.['client.knative.dev/nonce'];
  for (const part of [kept, kept.template]) for (const key of ['labels', 'annotations']) if (Object.keys(part[key] ?? {}).length === 0) delete part[key];
  const task = kept.template.template;
  const names = new Map((task.volumes ?? []).map((volume) => [volume.name, volume.secret === undefined ? volume.name : `secret ${JSON.stringify(sorted(volume.secret))}`]));
  // gcloud leaves the old volume behind where it changes the secret of a container without a name: it takes the container for another one.
  const mounted = new Set(task.containers.flatMap((container) => (container.volumeMounts ?? []).map((mount) => mount.name)));
  task.volumes = task.volumes?.filter((volume) => volume.secret === undefined || mounted.has(volume.name));
  const order = (left, right) => (JSON.stringify(sorted(left)) < JSON.stringify(sorted(right)) ? -1 : 1);
  for (const volume of task.volumes ?? []) {
    volume.name = names.get(volume.name);
    volume.secret?.items?.sort(order);
  }
  task.volumes?.sort(order);
  for (const container of task.containers) {
    for (const mount of container.volumeMounts ?? []) mount.name = names.get(mount.name);
    container.volumeMounts?.sort(order);
    for (const key of ['volumeMounts', 'env', 'args', 'command', 'dependsOn']) if (container[key]?.length === 0) delete container[key];
  }
  if ((task.volumes ?? []).length === 0) delete task.volumes;
  return kept;
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted).sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, sorted(item)])
      .sort(([left], [right]) => (left < right ? -1 : 1)),
  );
}

/**
 * @param {{ gcloud: string[], actas: string[], env: NodeJS.ProcessEnv, dir: string, url: string, token: string, seed: number, only: RegExp, report: (good: boolean, what: string, more?: string) => void }} world
 *   the command lines of both programs without arguments, a directory to write in, and the control plane that both call
 */
export async function compareJobs(world) {
  const file = join(world.dir, 'variables.yaml');
  writeFileSync(file, 'FROM_FILE: "1"\nOTHER: "a b"\n');
  await both(world, ['iam', 'service-accounts', 'create', 'hello-sa'], ['iam', 'service-accounts', 'describe', 'hello-sa@demo.iam.gserviceaccount.com']);
  console.log(`generated with --seed=${world.seed}`);
  for (const [index, [name, steps]] of [...CASES, ...generatedCases(6, world.seed)].entries()) {
    if (!world.only.test(name)) continue;
    for (const step of steps) {
      const fails = step[0] === 'fails';
      const [verb = '', ...flags] = (fails ? step.slice(1) : step).map((word) => word.replace('ENV_FILE', file));
      const words = verb.split(' ');
      const track = words.length > 1 ? words.slice(0, 1) : [];
      const line = (job) => [...track, 'run', 'jobs', words.at(-1), job, ...flags];
      const [left, right] = await both(world, line(`g${index}`), line(`a${index}`));
      const what = `${name}: ${verb} ${flags.join(' ')}`;
      if (fails !== (left.code !== 0) || fails !== (right.code !== 0)) {
        world.report(false, what, `gcloud: exit ${left.code}\n${left.text}actas: exit ${right.code}\n${right.text}`);
        break;
      }
      const jobs = await Promise.all([`g${index}`, `a${index}`].map(async (job) => comparable(await getJob(world, job))));
      const same = isDeepStrictEqual(jobs[0], jobs[1]);
      world.report(same, what, same ? '' : `gcloud: ${JSON.stringify(jobs[0], undefined, 1)}\nactas:  ${JSON.stringify(jobs[1], undefined, 1)}`);
      if (!same) break;
    }
  }
}

/** Every flag in the help of the gcloud that is installed must be in test/gcloud-flags.json, where each is served or refused by name. */
export async function compareFlags(world) {
  const { everywhere, commands } = JSON.parse(readFileSync(new URL('../test/gcloud-flags.json', import.meta.url), 'utf8'));
  for (const [name, { served, refused = {} }] of Object.entries(commands)) {
    const what = `the flags of ${name}`;
    if (!world.only.test(what)) continue;
    const help = await run([...world.gcloud, 'alpha', ...name.split(' '), '--help'], world.env);
    // A command that this gcloud does not have yet has no flags.
    if (help.code !== 0) continue;
    // gcloud writes bold by escapes, even into a pipe. The synopsis has every flag once, and no prose about others.
    const synopsis = /\nSYNOPSIS\n(?<text>[^]*?)\nDESCRIPTION\n/.exec(stripVTControlCharacters(help.out))?.groups?.text ?? '';
    const found = [...synopsis.matchAll(/(?<![\w-])--(?:\[no-\])?[a-z][a-z-]*/g)].map(([flag]) => flag.replace('[no-]', ''));
    const known = new Set([...served, ...Object.keys(refused), ...everywhere.served, ...Object.keys(everywhere.refused)]);
    const unknown = [...new Set(found)].filter((flag) => !known.has(flag));
    world.report(found.length > 0 && unknown.length === 0, `${what}: ${new Set(found).size}`, unknown.length === 0 ? '' : `not in test/gcloud-flags.json: ${unknown.join(' ')}`);
  }
}

const JOBS_LIST = ['run', 'jobs', 'list'];
const POLICY = ['projects', 'get-iam-policy', 'demo'];
const ACCOUNTS = ['iam', 'service-accounts', 'list'];

/** Commands with formats, each printed by both programs. */
const FORMATS = [
  [...JOBS_LIST, '--format=value(metadata.name)', '--sort-by=metadata.name'],
  [...JOBS_LIST, '--format=value[separator=","](metadata.name,spec.template.spec.taskCount)', '--sort-by=~metadata.name', '--limit=4'],
  [...JOBS_LIST, '--format=csv(metadata.name:label=Job,metadata.labels.list(),spec.template.spec.template.spec.containers[0].image.basename())', '--sort-by=metadata.name'],
  [...JOBS_LIST, '--format=csv[no-heading](metadata.name,spec.template.spec.template.spec.containers[].name,metadata.creationTimestamp.date("%Y"))', '--sort-by=metadata.name'],
  [...JOBS_LIST, '--format=table(metadata.name:sort=1:label=JOB,spec.template.spec.taskCount:label=TASKS,status.conditions[0].type,nothing.yesno(yes=y,no=-):label=X)'],
  [...JOBS_LIST, '--format=table[no-heading](metadata.name:sort=1:reverse,spec.template.spec.template.spec.containers.len())', '--filter=spec.template.spec.taskCount>2'],
  [...JOBS_LIST, '--format=json(metadata.name,spec.template.spec.template.spec.containers[].image,status.conditions[].type)', '--sort-by=metadata.name', '--limit=3'],
  [...JOBS_LIST, '--format=yaml(metadata.name,spec.template.spec.taskCount)', '--sort-by=metadata.name', '--limit=3'],
  [...JOBS_LIST, '--format=flattened(metadata.name,spec.template.spec.template.spec.containers[].image)', '--sort-by=metadata.name', '--limit=2'],
  [...JOBS_LIST, '--format=list(metadata.name,spec.template.spec.taskCount)', '--sort-by=metadata.name', '--limit=2'],
  [
    ...JOBS_LIST,
    '--format=value(metadata.name.segment(0),metadata.selfLink.scope(namespaces),metadata.selfLink.split("/").slice(-2:).join("|"))',
    '--filter=metadata.name:g1*',
    '--sort-by=metadata.name',
  ],
  [...JOBS_LIST, '--format=value(metadata.name)', '--filter=metadata.name=(g1,a1) OR metadata.labels.env=prod', '--sort-by=metadata.name'],
  [...JOBS_LIST, '--format=value(metadata.name)', '--filter=metadata.name~^g1 AND NOT metadata.name:g12', '--sort-by=metadata.name'],
  [...JOBS_LIST, '--format=value(metadata.name)', '--filter=metadata.creationTimestamp>-p1d metadata.labels:* OR spec.template.spec.taskCount=2', '--sort-by=metadata.name'],
  [...JOBS_LIST, '--format=value(metadata.name)', '--filter=metadata.labels.env:(dev prod) OR metadata.name=g0', '--sort-by=metadata.name'],
  [...JOBS_LIST, '--uri', '--sort-by=metadata.name', '--limit=3'],
  [...POLICY, '--flatten=bindings[].members', '--format=table(bindings.role,bindings.members)', '--filter=bindings.role:run'],
  [...POLICY, '--flatten=bindings[].members', '--format=csv[no-heading](bindings.members.segment(-1),bindings.role.basename())'],
  [...POLICY, '--format=value(bindings[].role)'],
  [...POLICY, '--format=value(bindings.members.flatten())'],
  [...POLICY, '--format=json'],
  [...ACCOUNTS, '--format=value(email,disabled.yesno(yes=off,no=on))', '--sort-by=email'],
  [...ACCOUNTS, '--format=table(email.split("@").slice(0):label=NAME,projectId:label=P)', '--sort-by=email'],
  [...ACCOUNTS, '--format=csv(email.sub("@.*",""),name.basename())', '--filter=email~hello', '--sort-by=email'],
];

export async function compareFormats(world) {
  for (const line of FORMATS) {
    if (!world.only.test(line.join(' '))) continue;
    const [left, right] = await both(world, line, line);
    const isJson = line.some((word) => word.startsWith('--format=json'));
    const same = left.code === 0 && right.code === 0 && (isJson ? isDeepStrictEqual(JSON.parse(left.out), JSON.parse(right.out)) : left.out.trimEnd() === right.out.trimEnd());
    world.report(
      same,
      line.join(' '),
      same ? '' : `gcloud: exit ${left.code}\n${left.code === 0 ? left.out : left.text}\nactas: exit ${right.code}\n${right.code === 0 ? right.out : right.text}`,
    );
  }
}

async function getJob({ url, token }, job) {
  const answer = await fetch(`${url}/v2/projects/demo/locations/us-central1/jobs/${job}`, { headers: { authorization: `Bearer ${token}`, host: 'run.googleapis.com' } });
  if (!answer.ok) throw new Error(`${job}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function both({ gcloud, actas, env }, left, right) {
  return Promise.all([run([...gcloud, ...left], env), run([...actas, ...right], env)]);
}

function run([command = '', ...args], env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
    let out = '';
    let text = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
      text += chunk;
    });
    child.stderr.on('data', (chunk) => (text += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, text }));
  });
}
