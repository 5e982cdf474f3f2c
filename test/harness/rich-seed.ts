import { defaultSeed } from '../../src/seed/seed.ts';

const ACCOUNT = 'hello-sa@demo.iam.gserviceaccount.com';
/** A seed that has something of everything that is exported. */
export const RICH = {
  ...defaultSeed(),
  serviceAccounts: [
    { project: 'demo', id: 'hello-sa', displayName: 'Says "hello" for ${money}', description: "it's %{one}" },
    { project: 'demo', id: 'idle-sa', disabled: true },
  ],
  roles: [{ name: 'projects/demo/roles/attach', title: 'Attach', stage: 'GA', includedPermissions: ['iam.serviceAccounts.actAs', 'run.jobs.run'] }],
  policies: [
    ...defaultSeed().policies,
    {
      resource: 'projects/demo',
      bindings: [
        { role: 'roles/run.developer', members: ['user:dev@example.com', `serviceAccount:${ACCOUNT}`] },
        { role: 'projects/demo/roles/attach', members: ['group:team@example.com'] },
        { role: 'roles/run.viewer', members: ['user:temp@example.com'], condition: { title: 'for a while', expression: 'request.time < timestamp("2100-01-01T00:00:00Z")' } },
      ],
    },
    {
      resource: `projects/demo/serviceAccounts/${ACCOUNT}`,
      bindings: [
        { role: 'roles/iam.serviceAccountUser', members: ['user:dev@example.com'] },
        {
          role: 'roles/iam.workloadIdentityUser',
          members: ['principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/ci-pool/attribute.repo/octo/app'],
        },
      ],
    },
    { resource: 'projects/demo/locations/us-central1/jobs/hello', bindings: [{ role: 'roles/run.invoker', members: ['user:dev@example.com'] }] },
  ],
  groups: [
    { email: 'team@example.com', displayName: 'Team', description: 'All of us', members: ['group:core@example.com', `serviceAccount:${ACCOUNT}`, 'user:dev@example.com'] },
    { email: 'core@example.com', members: [] },
  ],
  tagKeys: [
    { name: '111111111111/env', description: 'where', values: [{ shortName: 'prod', description: 'in earnest' }, { shortName: 'test' }] },
    { name: 'demo/own', values: [{ shortName: 'yes' }] },
  ],
  tagBindings: [
    { resource: 'projects/demo', tagValue: '111111111111/env/prod' },
    { resource: 'projects/demo', tagValue: 'demo/own/yes' },
    { resource: 'folders/222222222222', tagValue: '111111111111/env/test' },
  ],
  workloadIdentityPools: [
    {
      name: 'projects/demo/locations/global/workloadIdentityPools/ci-pool',
      displayName: 'CI',
      providers: [
        {
          id: 'ci-oidc',
          oidc: { issuerUri: 'https://issuer.example.com', allowedAudiences: ['me'] },
          attributeMapping: { 'google.subject': 'assertion.sub', 'attribute.repo': 'assertion.repo' },
          attributeCondition: 'assertion.repo == "x"',
        },
      ],
    },
    { name: 'projects/demo/locations/global/workloadIdentityPools/off-pool', disabled: true },
  ],
  denyPolicies: [
    {
      name: 'projects/demo/denyPolicies/no-deletes',
      displayName: 'No deletes',
      rules: [
        {
          description: 'keep jobs',
          denyRule: {
            deniedPrincipals: ['principalSet://goog/public:all'],
            exceptionPrincipals: ['principal://goog/subject/owner@example.com'],
            deniedPermissions: ['run.googleapis.com/jobs.delete'],
          },
        },
      ],
    },
  ],
  orgPolicies: [
    { name: 'projects/demo/policies/iam.disableServiceAccountKeyCreation', spec: { rules: [{ enforce: true }] } },
    { name: 'projects/demo/policies/gcp.resourceLocations', spec: { rules: [{ values: { allowedValues: ['in:us-locations'] } }] } },
  ],
  jobs: [
    {
      name: 'projects/demo/locations/us-central1/jobs/hello',
      labels: { team: 'x' },
      template: {
        taskCount: 3,
        parallelism: 2,
        template: {
          serviceAccount: ACCOUNT,
          timeout: '90s',
          maxRetries: 0,
          containers: [
            {
              image: 'local/image',
              command: ['sh', '-c'],
              args: ['echo "${HOME}" %{x}\nexit 0'],
              env: [{ name: 'GREETING', value: 'hi' }],
              resources: { limits: { cpu: '2', memory: '1Gi' } },
              volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
            },
          ],
          volumes: [{ name: 'scratch', emptyDir: { medium: 'MEMORY', sizeLimit: '64Mi' } }],
        },
      },
    },
    {
      name: 'projects/demo/locations/us-central1/jobs/two',
      annotations: { 'example.com/note': 'x' },
      template: {
        template: {
          containers: [
            { name: 'main', image: 'local/image', dependsOn: ['side'], ports: [{ name: 'http1', containerPort: 8080 }] },
            { name: 'side', image: 'local/side', startupProbe: { tcpSocket: { port: 9090 }, periodSeconds: 5 }, workingDir: '/w' },
          ],
        },
      },
    },
    { name: 'projects/demo/locations/us-east1/jobs/plain', template: { template: { containers: [{ image: 'local/image' }] } } },
  ],
};
