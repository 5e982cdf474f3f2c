/**
 * Requests that gcloud 578 sent, sent here in their order: every command of a service that is served is understood. The recordings are no part of the project:
 * ACTAS_TRANSCRIPTS names the folder that holds them (`facts/gcloud-requests.jsonl`); without it this suite is skipped. `npm run test:gcloud` runs a real gcloud.
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { writeSeed } from './harness/transcripts.ts';

const folder = process.env['ACTAS_TRANSCRIPTS'];
const OWNER_ROLES = ['owner', 'orgpolicy.policyAdmin', 'iam.denyAdmin', 'resourcemanager.organizationAdmin', 'resourcemanager.folderAdmin'];
const OWN = [
  ...OWNER_ROLES.map((role) => ({ role: `roles/${role}`, members: ['user:owner@example.com'] })),
  { role: 'roles/run.serviceAgent', members: ['serviceAccount:service-123456@serverless-robot-prod.iam.gserviceaccount.com'] },
];
/** What the recorder's commands named, as far as it may be called so. */
const SEED = {
  organizations: [{ number: '999', displayName: 'example.com' }],
  folders: [
    { number: '55', displayName: 'a', parent: 'organizations/999' },
    { number: '5', displayName: 'b', parent: 'organizations/999' },
  ],
  projects: [{ id: 'my-proj', number: '123456', parent: 'folders/55' }],
  serviceAccounts: [{ project: 'my-proj', id: 'sa-one' }],
  // Jobs of the recorder's have them; what they hold is nothing here.
  secrets: ['sec', 'mys'].map((id) => ({ name: `projects/my-proj/secrets/${id}`, replication: { automatic: {} }, valueFrom: { file: import.meta.filename } })),
  policies: [
    { resource: 'organizations/999', bindings: OWN },
    { resource: 'projects/my-proj', bindings: [{ role: 'roles/iam.serviceAccountTokenCreator', members: ['user:owner@example.com'] }] },
    ...['sec', 'mys'].map((id) => ({
      resource: `projects/my-proj/secrets/${id}`,
      bindings: [{ role: 'roles/secretmanager.secretAccessor', members: ['serviceAccount:sa-one@my-proj.iam.gserviceaccount.com'] }],
    })),
  ],
};

/** Roles that no project's policy takes. */
const ABOVE_PROJECTS = /organizationAdmin|folderAdmin|denyAdmin|policyAdmin/;

interface Recorded {
  readonly command: string | null;
  readonly method: string;
  readonly path: string;
  readonly host?: string;
  readonly body?: object;
}

/** By the command's first words, where the recorder left the host out. */
const HOSTS: readonly [RegExp, string][] = [
  [/ \/v2\/entries:list/, 'logging'],
  [/^gcloud\.(?:alpha\.|beta\.)?run\S* \/v1\/projects\/[^/]+\/services/, 'serviceusage'],
  [/^gcloud\.(?:alpha\.|beta\.)?run\S* \/v1\/projects\/[^/?]+\?/, 'cloudresourcemanager'],
  [/^gcloud\.(?:alpha\.|beta\.)?run\S* \/apis\//, 'us-central1-run'],
  [/^gcloud\.(?:alpha\.|beta\.)?run\./, 'run'],
  [/^gcloud\.iam\./, 'iam'],
  [/^gcloud\.(?:projects|organizations|resource-manager|config)\./, 'cloudresourcemanager'],
  [/^gcloud\.org-policies\./, 'orgpolicy'],
  [/^gcloud\.(?:policy-troubleshoot|policy-intelligence\.troubleshoot-policy)\./, 'policytroubleshooter'],
  [/^gcloud\.services\./, 'serviceusage'],
  [/^(?:gcloud\.auth\.|null )/, 'iamcredentials'],
];
const UNSERVED = /^gcloud\.(?:recommender|secrets|artifacts|asset|policy-intelligence\.query-activity|scheduler)(?:\.|$)/;

function hostOf({ command, path, host }: Recorded): string {
  return host ?? `${HOSTS.find(([pattern]) => pattern.test(`${String(command)} ${path}`))?.[1]}.googleapis.com`;
}

/** Etags, versions and names of executions are the recorder's own; short names may be none here. */
function localized(recorded: Recorded, runs: readonly string[]): Recorded {
  const text = JSON.stringify(recorded)
    .replaceAll(/(?<=[:/"])sa@my-proj/g, 'sa-one@my-proj')
    .replaceAll('noperm@x.', 'noperm@my-proj.')
    .replaceAll(/"etag":"[^"]*",?/g, '')
    .replaceAll(/"resourceVersion":"[^"]*",?/g, '')
    .replaceAll(/,(?=})/g, '')
    .replaceAll(/\w+-x0*(\d+)/g, (name, number: string) => runs[Number(number) - 1] ?? name);
  const local: Recorded & { body?: { policy?: { bindings?: object[] } } } = JSON.parse(text);
  // A policy that is set must leave the caller what the next command needs.
  if (/(?:projects|organizations|folders)\/[^/]+:setIamPolicy/.test(local.path))
    local.body?.policy?.bindings?.push(...OWN.filter(({ role }) => local.path.includes('/organizations/') || !ABOVE_PROJECTS.test(role)));
  return local;
}

function send(server: TestServer, { method, path, body }: Recorded, host: string): Promise<{ readonly status: number; readonly text: string }> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const call = request({ hostname, port, method, path, headers: { host, authorization: `Bearer ${server.ownerToken}`, 'content-type': 'application/json' } }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** What nobody could answer otherwise: names that the recorder's stand-in alone had, or that are none. */
const EXPECTED = [
  /^40[34] .*(?:does not exist|not found|The caller does not have permission|may not exist|Unknown service account)/,
  /^409 .*already exists/,
  /^400 .*(?:The role_id "r1" is invalid|gcs\.bucket: must be the name of a bucket|service_account: must be the email address|A GPU needs node_selector\.accelerator|cannot be cancelled because it is not running)/,
];

function messageOf(text: string): string {
  const answer: { readonly error?: { readonly message?: string } } = text.startsWith('{') ? JSON.parse(text) : {};
  return (answer.error?.message ?? text).replaceAll('\n', ' ');
}

describe.skipIf(folder === undefined)(`requests of gcloud 578${folder === undefined ? ' (ACTAS_TRANSCRIPTS names no folder)' : ''}`, () => {
  test('every command of a service that is served is understood', { timeout: 120_000 }, async () => {
    const seed = writeSeed(SEED);
    const server = await startTestServer({ seed: seed.file });
    const [runs, wrong, succeeded]: [string[], string[], Set<string>] = [[], [], new Set()];
    let good = 0;
    try {
      for (const line of readFileSync(join(folder ?? '', 'facts', 'gcloud-requests.jsonl'), 'utf8')
        .trim()
        .split('\n')) {
        const recorded: Recorded = localized(JSON.parse(line), runs);
        const command = String(recorded.command);
        // A path of a proxy of the recorder's own.
        if (UNSERVED.test(command) || recorded.path.startsWith('/crm/')) continue;
        const { status, text } = await send(server, recorded, hostOf(recorded));
        if (status === 200) {
          good += 1;
          succeeded.add(command);
          if (recorded.path.includes(':run?')) runs.push(/"name": ?"([^"]+-[a-z0-9]{5})"/.exec(text)?.[1] ?? '');
        } else if (!EXPECTED.some((pattern) => pattern.test(`${status} ${messageOf(text)}`)))
          wrong.push(`${status} ${command} ${recorded.method} ${recorded.path} ${text.slice(0, 300)}`);
      }
      expect(wrong).toEqual([]);
      // Enough succeeds for the rest to say something. What never does was recorded for names that are nowhere; a real gcloud does those in scripts/gcloud/.
      expect(good).toBeGreaterThan(100);
      const all = readFileSync(join(folder ?? '', 'facts', 'gcloud-requests.jsonl'), 'utf8').matchAll(/"command": "([^"]+)"/g);
      const never = [...new Set([...all].map(([, command = '']) => command))].filter((command) => !UNSERVED.test(command) && !succeeded.has(command));
      expect(never).toEqual([
        'gcloud.run.jobs.describe',
        'gcloud.org-policies.describe-custom-constraint',
        'gcloud.projects.describe',
        'gcloud.resource-manager.org-policies.deny',
        'gcloud.iam.service-accounts.keys.delete',
      ]);
    } finally {
      await server.close();
      seed.remove();
    }
  });
});
