/** Whether somebody without any role can tell what exists: the same request about what is there and about what is not gets the same answer, to the byte. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../harness/server.ts';

const STRANGER = 'user:stranger@example.com';
const RUN = '/run.googleapis.com/v2/projects/demo/locations/us-central1';
const RUN_V1 = '/run.googleapis.com/r/us-central1/apis/run.googleapis.com/v1/namespaces/demo';
const IAM = '/iam.googleapis.com/v1';
const CREDENTIALS = '/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts';
const CRM1 = '/cloudresourcemanager.googleapis.com/v1';
const CRM = '/cloudresourcemanager.googleapis.com/v3';
const ORG = '/orgpolicy.googleapis.com/v2';
const GROUPS = '/actas/v1/organizations/111111111111/groups';
const POOLS = `${IAM}/projects/demo/locations/global/workloadIdentityPools`;
const DENY = '/iam.googleapis.com/v2/policies/cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo/denypolicies';
const EMAIL = 'there-sa@demo.iam.gserviceaccount.com';
const POLICY = { policy: { bindings: [] } };
const BAD = { permissions: ['*'] };
const GOOD = { permissions: ['run.jobs.get', 'iam.serviceAccounts.get', 'resourcemanager.projects.get'] };

let server: TestServer;
/** By the word that stands for it below: what is there, and what is not but looks the same. */
const names = new Map<string, readonly [string, string]>();

beforeAll(async () => {
  server = await startTestServer();
  const make = async (path: string, body: object) => {
    const answer = await server.call('POST', path, body);
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  };
  const account = await make(`${IAM}/projects/demo/serviceAccounts`, { accountId: 'there-sa' });
  const key = await make(`${IAM}/projects/demo/serviceAccounts/${EMAIL}/keys`, {});
  await make(`${RUN}/jobs?jobId=there-job`, { template: { template: { containers: [{ image: 'example.com/i' }] } } });
  const run = await make(`${RUN}/jobs/there-job:run`, {});
  const execution = String(run.metadata.name).split('/').at(-1) ?? '';
  await make(`${IAM}/projects/demo/roles`, { roleId: 'thereRole', role: { title: 'x', includedPermissions: ['run.jobs.get'] } });
  await make(`${POOLS}?workloadIdentityPoolId=there-pool`, {});
  await make(`${DENY}?policyId=there-deny`, {
    rules: [{ denyRule: { deniedPermissions: ['run.googleapis.com/jobs.run'], deniedPrincipals: ['principal://goog/subject/x@example.com'] } }],
  });
  await make(GROUPS, { email: 'there@example.com' });
  const lien = await make(`${CRM1}/liens`, { parent: 'projects/demo', restrictions: ['resourcemanager.projects.delete'], reason: 'x', origin: 'x' });
  await make(`${CRM}/tagKeys`, { parent: 'projects/demo', shortName: 'there-tag' });
  const { json: tag } = await server.call('GET', `${CRM}/tagKeys/namespaced?name=demo/there-tag`);
  await make(`${CRM}/tagValues`, { parent: tag.name, shortName: 'yes' });
  const { json: value } = await server.call('GET', `${CRM}/tagValues/namespaced?name=demo/there-tag/yes`);
  await make(`${CRM}/projects`, { projectId: 'there-project', parent: 'folders/222222222222' });
  await make(`${ORG}/projects/demo/policies`, { name: 'projects/demo/policies/iam.disableServiceAccountKeyUpload', spec: { rules: [{ enforce: true }] } });
  const last = (name: string) => name.slice(name.lastIndexOf('/') + 1);
  for (const [word, there, gone] of [
    ['ACCOUNT', EMAIL, 'other-sa@demo.iam.gserviceaccount.com'],
    ['UNIQUE', account.uniqueId, '100000000000000000001'],
    ['KEY', last(key.name), 'f'.repeat(40)],
    ['JOB', 'there-job', 'other-job'],
    ['EXECUTION', execution, `other${execution.slice('there'.length)}`],
    ['ROLE', 'thereRole', 'otherRole'],
    ['POOL', 'there-pool', 'other-pool'],
    ['DENYPOLICY', 'there-deny', 'other-deny'],
    ['GROUP', 'there@example.com', 'other@example.com'],
    ['LIEN', last(lien.name), 'p123456789012-l00000000000000000'],
    ['TAGKEY', last(tag.name), '281400000000001'],
    ['TAGVALUE', last(value.name), '281400000000002'],
    ['TAG', 'there-tag', 'other-tag'],
    ['PROJECT', 'there-project', 'other-project'],
    ['FOLDER', '222222222222', '222222222223'],
    ['ORGANIZATION', '111111111111', '111111111112'],
    ['CONSTRAINT', 'iam.disableServiceAccountKeyUpload', 'iam.disableServiceAccountCreation'],
  ] as const)
    names.set(word, [String(there), gone]);
});
afterAll(() => server.close());

const ACCOUNT_NAMES = [
  `${IAM}/projects/demo/serviceAccounts/ACCOUNT`,
  `${IAM}/projects/-/serviceAccounts/ACCOUNT`,
  `${IAM}/projects/demo/serviceAccounts/UNIQUE`,
  `${IAM}/projects/-/serviceAccounts/UNIQUE`,
];

describe.each<[string, [string, string, object?][]]>([
  [
    'service accounts',
    ACCOUNT_NAMES.flatMap((name): [string, string, object?][] => [
      ['GET', name],
      ['DELETE', name],
      ['PATCH', name, { serviceAccount: {}, updateMask: 'description' }],
      ['POST', `${name}:disable`, {}],
      ['POST', `${name}:undelete`, {}],
      ['POST', `${name}:getIamPolicy`],
      ['POST', `${name}:setIamPolicy`, POLICY],
      ['POST', `${name}:setIamPolicy`, { policy: { bindings: [{ role: 'nonsense', members: [] }] } }],
      ['POST', `${name}:testIamPermissions`, GOOD],
      ['POST', `${name}:testIamPermissions`, BAD],
      ['POST', `${name}:signBlob`, { bytesToSign: '' }],
      ['POST', `${name}:signJwt`, { payload: 'x' }],
      ['GET', `${name}/keys`],
      ['POST', `${name}/keys`, {}],
      ['POST', `${name}/keys:upload`, { publicKeyData: 'eA==' }],
    ]),
  ],
  [
    'keys',
    [`${IAM}/projects/demo/serviceAccounts/${EMAIL}/keys/KEY`].flatMap((name): [string, string, object?][] => [
      ['GET', name],
      ['DELETE', name],
      ['POST', `${name}:disable`, {}],
    ]),
  ],
  [
    'credentials',
    ['ACCOUNT', 'UNIQUE'].flatMap((name): [string, string, object?][] => [
      ['POST', `${CREDENTIALS}/${name}:generateAccessToken`, { scope: ['x'] }],
      ['POST', `${CREDENTIALS}/${name}:generateAccessToken`, { scope: [], lifetime: '-1s' }],
      ['POST', `${CREDENTIALS}/${name}:generateIdToken`, { audience: 'x' }],
      ['POST', `${CREDENTIALS}/${name}:signJwt`, { payload: 'x' }],
      ['POST', `${CREDENTIALS}/${name}:signBlob`, { payload: '' }],
      [
        'POST',
        `${CREDENTIALS}/${EMAIL}:generateAccessToken`,
        { scope: ['x'], delegates: [`projects/-/serviceAccounts/${name === 'ACCOUNT' ? 'other2-sa@demo.iam.gserviceaccount.com' : name}`] },
      ],
      ['GET', `${CREDENTIALS}/${name}/allowedLocations`],
    ]),
  ],
  [
    'jobs and executions',
    [
      ['GET', `${RUN}/jobs/JOB`],
      ['POST', `${RUN}/jobs?jobId=JOB`, {}],
      ['PATCH', `${RUN}/jobs/JOB`, {}],
      ['PATCH', `${RUN}/jobs/JOB?allowMissing=true`, {}],
      ['DELETE', `${RUN}/jobs/JOB?etag=x`],
      ['POST', `${RUN}/jobs/JOB:run`, { etag: 'x' }],
      ['POST', `${RUN}/jobs/JOB:run`, { overrides: { taskCount: -1 } }],
      ['GET', `${RUN}/jobs/JOB:getIamPolicy`],
      ['POST', `${RUN}/jobs/JOB:setIamPolicy`, POLICY],
      ['POST', `${RUN}/jobs/JOB:testIamPermissions`, GOOD],
      ['POST', `${RUN}/jobs/JOB:testIamPermissions`, BAD],
      ['GET', `${RUN}/jobs/JOB/executions`],
      ['GET', `${RUN}/jobs/there-job/executions/EXECUTION`],
      ['GET', `${RUN}/jobs/-/executions/EXECUTION`],
      ['POST', `${RUN}/jobs/there-job/executions/EXECUTION:cancel`, {}],
      ['DELETE', `${RUN}/jobs/there-job/executions/EXECUTION`],
      ['GET', `${RUN}/jobs/there-job/executions/EXECUTION/tasks`],
      ['GET', `${RUN}/jobs/there-job/executions/EXECUTION/tasks/EXECUTION-0`],
      ['GET', `${RUN_V1}/jobs/JOB`],
      ['PUT', `${RUN_V1}/jobs/JOB`, { metadata: { name: 'JOB' } }],
      ['DELETE', `${RUN_V1}/jobs/JOB`],
      ['POST', `${RUN_V1}/jobs/JOB:run`, {}],
      ['GET', `${RUN_V1}/executions/EXECUTION`],
      ['POST', `${RUN_V1}/executions/EXECUTION:cancel`, {}],
      ['GET', `${RUN_V1}/tasks/EXECUTION-0`],
    ],
  ],
  [
    'roles, deny policies, pools and groups',
    [
      ['GET', `${IAM}/projects/demo/roles/ROLE`],
      ['PATCH', `${IAM}/projects/demo/roles/ROLE`, {}],
      ['DELETE', `${IAM}/projects/demo/roles/ROLE`],
      ['POST', `${IAM}/projects/demo/roles/ROLE:undelete`, {}],
      ['POST', `${IAM}/projects/demo/roles`, { roleId: 'ROLE', role: {} }],
      ['POST', `${IAM}/roles:queryGrantableRoles`, { fullResourceName: '//cloudresourcemanager.googleapis.com/projects/PROJECT' }],
      ['POST', `${IAM}/permissions:queryTestablePermissions`, { fullResourceName: '//cloudresourcemanager.googleapis.com/projects/PROJECT' }],
      ['GET', `${DENY}/DENYPOLICY`],
      ['DELETE', `${DENY}/DENYPOLICY?etag=x`],
      ['GET', `${POOLS}/POOL`],
      ['DELETE', `${POOLS}/POOL`],
      ['GET', `${POOLS}/POOL/providers`],
      ['GET', `${GROUPS}/GROUP`],
      ['DELETE', `${GROUPS}/GROUP`],
      ['GET', `${GROUPS}/GROUP:listMembers`],
      ['POST', `${GROUPS}/GROUP:addMembers`, { members: ['user:x@example.com'] }],
      ['POST', GROUPS, { email: 'GROUP' }],
    ],
  ],
  [
    'projects, folders, organizations, liens and tags',
    [
      ...['projects/PROJECT', 'folders/FOLDER', 'organizations/ORGANIZATION', 'tagKeys/TAGKEY', 'tagValues/TAGVALUE'].flatMap((name): [string, string, object?][] => [
        ['GET', `${CRM}/${name}`],
        ['DELETE', `${CRM}/${name}`],
        ['POST', `${CRM}/${name}:getIamPolicy`, {}],
        ['POST', `${CRM}/${name}:setIamPolicy`, POLICY],
        ['POST', `${CRM}/${name}:testIamPermissions`, GOOD],
        ['POST', `${CRM}/${name}:testIamPermissions`, BAD],
        ['POST', `${CRM}/${name}:undelete`, {}],
        ['POST', `${CRM}/${name}:move`, { destinationParent: 'folders/222222222222' }],
        ['GET', `${CRM}/tagBindings?parent=//cloudresourcemanager.googleapis.com/${name}`],
        ['GET', `${CRM}/effectiveTags?parent=//cloudresourcemanager.googleapis.com/${name}`],
      ]),
      ['GET', `${CRM1}/projects/PROJECT`],
      ['POST', `${CRM1}/projects/PROJECT:getAncestry`, {}],
      ['POST', `${CRM}/projects`, { projectId: 'PROJECT', parent: 'folders/222222222222' }],
      ['GET', `${CRM}/folders?parent=folders/FOLDER`],
      ['GET', `${CRM}/projects?parent=folders/FOLDER`],
      ['GET', `${CRM1}/liens?parent=projects/PROJECT`],
      ['GET', `${CRM1}/liens/LIEN`],
      ['DELETE', `${CRM1}/liens/LIEN`],
      ['GET', `${CRM}/tagKeys/namespaced?name=demo/TAG`],
      ['GET', `${CRM}/tagValues/namespaced?name=demo/TAG/yes`],
      ['POST', `${CRM}/tagBindings`, { parent: '//cloudresourcemanager.googleapis.com/projects/123456789012', tagValue: 'tagValues/TAGVALUE' }],
      ['POST', `${CRM}/tagBindings`, { parent: '//cloudresourcemanager.googleapis.com/projects/PROJECT', tagValueNamespacedName: 'demo/TAG/yes' }],
      ['POST', `${CRM}/tagBindings`, { parent: '//iam.googleapis.com/projects/demo/serviceAccounts/ACCOUNT', tagValue: 'tagValues/1' }],
      ['GET', `${CRM}/tagBindings?parent=//iam.googleapis.com/projects/demo/serviceAccounts/ACCOUNT`],
      ['GET', `${CRM}/tagBindings?parent=//iam.googleapis.com/projects/demo/serviceAccounts/UNIQUE`],
      ['GET', `${CRM}/tagBindings?parent=//run.googleapis.com/projects/demo/locations/us-central1/jobs/JOB`],
      ['GET', `${ORG}/projects/demo/policies/CONSTRAINT`],
      ['DELETE', `${ORG}/projects/demo/policies/CONSTRAINT`],
      ['GET', `${ORG}/projects/PROJECT/policies`],
      ['POST', `${CRM1}/projects/PROJECT:getOrgPolicy`, { constraint: 'constraints/iam.disableServiceAccountKeyUpload' }],
      ['GET', '/serviceusage.googleapis.com/v1/projects/PROJECT/services'],
      ['POST', '/logging.googleapis.com/v2/entries:list', { resourceNames: ['projects/PROJECT'] }],
    ],
  ],
  [
    'explanations and checks',
    [
      ...[
        '//run.googleapis.com/projects/demo/locations/us-central1/jobs/JOB',
        `//iam.googleapis.com/projects/demo/serviceAccounts/ACCOUNT`,
        '//iam.googleapis.com/projects/-/serviceAccounts/UNIQUE',
        '//cloudresourcemanager.googleapis.com/projects/PROJECT',
        '//cloudresourcemanager.googleapis.com/folders/FOLDER',
        '//cloudresourcemanager.googleapis.com/organizations/ORGANIZATION',
        '//cloudresourcemanager.googleapis.com/tagValues/TAGVALUE',
      ].flatMap((fullResourceName): [string, string, object?][] => [
        ...[STRANGER, 'user:owner@example.com', 'serviceAccount:ACCOUNT', 'group:GROUP', 'allUsers'].map((principal): [string, string, object] => [
          'POST',
          '/actas/v1/access:explain',
          { principal, permission: 'iam.serviceAccounts.actAs', fullResourceName },
        ]),
        ['POST', '/actas/v1/access:listHolders', { permission: 'run.jobs.run', fullResourceName }],
        ...['v1', 'v3'].map((version): [string, string, object] => [
          'POST',
          `/policytroubleshooter.googleapis.com/${version}/iam:troubleshoot`,
          { accessTuple: { principal: 'owner@example.com', permission: 'run.jobs.run', fullResourceName } },
        ]),
      ]),
      ['POST', '/actas/v1/projects/demo/locations/us-central1/jobs/JOB:check', {}],
      ['POST', '/actas/v1/projects/PROJECT/locations/us-central1/jobs/new:check', { job: { template: { template: { containers: [{ image: 'example.com/i' }] } } } }],
      [
        'POST',
        '/actas/v1/projects/demo/locations/us-central1/jobs/new:check',
        { job: { template: { template: { containers: [{ image: 'example.com/i' }], serviceAccount: 'ACCOUNT' } } } },
      ],
      [
        'POST',
        '/actas/v1/projects/demo/locations/us-central1/jobs/new:check',
        { principal: 'serviceAccount:ACCOUNT', job: { template: { template: { containers: [{ image: 'example.com/i' }] } } } },
      ],
    ],
  ],
])('%s', (_what, requests) => {
  test('answer alike, there or not', async () => {
    const different: string[] = [];
    for (const [verb, path, body] of requests) {
      const ask = async (which: 0 | 1) => {
        let text = `${path}\n${body === undefined ? '' : JSON.stringify(body)}`;
        for (const [word, pair] of names) text = text.replaceAll(new RegExp(`\\b${word}\\b|(?<=/)${word}(?=-0$)`, 'g'), pair[which]);
        const [url = '', sent = ''] = text.split('\n');
        const answer = await server.call(verb, url, sent === '' ? undefined : sent, { as: STRANGER });
        // A page token holds what was asked for.
        let seen = answer.text.replace(/"nextPageToken": ".*"/, '');
        // Both names of everything become one word, the longer names first.
        for (const name of [...names.values()].flat().toSorted((a, b) => b.length - a.length)) {
          const word = [...names].find(([, pair]) => pair.includes(name))?.[0] ?? '';
          seen = seen.replaceAll(name, word).replaceAll(encodeURIComponent(name), word);
        }
        return `${answer.status} ${[...answer.headers.keys()].filter((header) => header !== 'content-length').join()} ${seen}`;
      };
      const [there, gone] = [await ask(0), await ask(1)];
      const at = Array.from(there).findIndex((character, index) => character !== gone[index]);
      if (there !== gone)
        different.push(
          `${verb} ${path} ${JSON.stringify(body ?? null)}\n  there: ${there.slice(0, 3)} ${there.slice(at - 100, at + 200)}\n  gone:  ${gone.slice(0, 3)} ${gone.slice(at - 100, at + 200)}`,
        );
      if (!/^(?:403|200|400) |^404 .*\n.*\n.*\n.*Method not found/s.test(there)) different.push(`${verb} ${path}: ${there.slice(0, 200)}`);
    }
    expect(different.join('\n')).toBe('');
  });
});
