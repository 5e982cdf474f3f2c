/** For every RPC with an HTTP binding: a request whose names are of the right form, so that authorisation is what answers. */
import { type DescMethod, fromJson, type JsonObject, type JsonValue, type Message } from '@bufbuild/protobuf';
import type { AnyService, Api } from '../../src/services/service.ts';

export interface Sample {
  readonly service: AnyService;
  readonly method: DescMethod;
  readonly name: string;
  readonly verb: string;
  /** With the API's host first. */
  readonly path: string;
  /** Undefined where the binding takes none. */
  readonly body: JsonValue | undefined;
  readonly request: Message;
}

/** What some RPCs need beside the names in their path. */
const FIELDS: Record<string, JsonObject> = {
  'google.cloud.run.v2.Jobs.CreateJob': { jobId: 'sample' },
  'google.cloud.resourcemanager.v3.Folders.ListFolders': { parent: 'organizations/111111111111' },
  'google.cloud.resourcemanager.v3.Projects.ListProjects': { parent: 'folders/222222222222' },
  'google.cloud.resourcemanager.v3.Projects.CreateProject': { project: { projectId: 'sample-project', parent: 'folders/222222222222' } },
  'google.cloud.resourcemanager.v3.Projects.MoveProject': { destinationParent: 'folders/222222222222' },
  'google.cloud.resourcemanager.v3.Folders.CreateFolder': { folder: { displayName: 'sample', parent: 'folders/222222222222' } },
  'google.cloud.resourcemanager.v3.Folders.MoveFolder': { destinationParent: 'organizations/111111111111' },
  'google.cloud.resourcemanager.v2.Folders.CreateFolder': { parent: 'folders/222222222222' },
  'google.cloud.resourcemanager.v2.Folders.MoveFolder': { destinationParent: 'organizations/111111111111' },
  'google.cloud.resourcemanager.v3.TagKeys.ListTagKeys': { parent: 'projects/demo' },
  'google.cloud.resourcemanager.v3.TagKeys.CreateTagKey': { tag_key: { parent: 'projects/demo', shortName: 'sample' } },
  'google.cloud.resourcemanager.v3.TagKeys.GetNamespacedTagKey': { name: 'demo/sample' },
  'google.cloud.resourcemanager.v3.TagValues.ListTagValues': { parent: 'tagKeys/1' },
  'google.cloud.resourcemanager.v3.TagValues.CreateTagValue': { tag_value: { parent: 'tagKeys/1', shortName: 'sample' } },
  'google.cloud.resourcemanager.v3.TagValues.GetNamespacedTagValue': { name: 'demo/sample/value' },
  'google.cloud.resourcemanager.v3.TagBindings.ListTagBindings': { parent: '//cloudresourcemanager.googleapis.com/projects/demo' },
  'google.cloud.resourcemanager.v3.TagBindings.ListEffectiveTags': { parent: '//cloudresourcemanager.googleapis.com/projects/demo' },
  'google.cloud.resourcemanager.v3.TagBindings.CreateTagBinding': { tag_binding: { parent: '//cloudresourcemanager.googleapis.com/projects/demo', tagValue: 'tagValues/1' } },
  'google.cloudresourcemanager.v1.Liens.CreateLien': { lien: { parent: 'projects/demo' } },
  'google.cloudresourcemanager.v1.Liens.ListLiens': { parent: 'projects/demo' },
  'google.cloud.resourcemanager.v2.Folders.ListFolders': { parent: 'organizations/111111111111' },
  'google.api.serviceusage.v1.ServiceUsage.BatchEnableServices': { serviceIds: ['run.googleapis.com'] },
  'google.iam.admin.v1.IAM.ListRoles': { parent: 'projects/demo' },
  'google.iam.admin.v1.IAM.QueryGrantableRoles': { fullResourceName: '//cloudresourcemanager.googleapis.com/projects/demo' },
  'google.iam.admin.v1.IAM.QueryTestablePermissions': { fullResourceName: '//cloudresourcemanager.googleapis.com/projects/demo' },
  'google.iam.admin.v1.IAM.QueryAuditableServices': { fullResourceName: '//cloudresourcemanager.googleapis.com/projects/demo' },
  'google.iam.admin.v1.IAM.LintPolicy': { condition: { title: 'x', expression: 'true' } },
  'google.cloud.secretmanager.v1.SecretManagerService.CreateSecret': { secretId: 'sample', secret: { replication: { automatic: {} } } },
  'google.iam.v2.Policies.CreatePolicy': { policyId: 'sample' },
  'google.logging.v2.LoggingServiceV2.ListLogEntries': { resourceNames: ['projects/demo'] },
  'google.logging.v2.LoggingServiceV2.TailLogEntries': { resourceNames: ['projects/demo'] },
  'google.logging.v2.LoggingServiceV2.WriteLogEntries': { logName: 'projects/demo/logs/l', resource: { type: 'global' }, entries: [{}] },
};

const SEGMENTS: Record<string, string> = {
  projects: 'demo',
  locations: 'us-central1',
  serviceAccounts: 'sample@demo.iam.gserviceaccount.com',
  groups: 'sample@example.com',
  organizations: '111111111111',
  folders: '222222222222',
  operations: 'cp.123',
  liens: 'p123456789012-l0',
  services: 'run.googleapis.com',
  tagKeys: '1',
  tagValues: '1',
  tagHolds: 'sample',
  tagBindings: '%2F%2Fcloudresourcemanager.googleapis.com%2Fprojects%2Fdemo/tagValues/1',
};

/** Every service that is served, loaded. */
export async function allServices(apis: readonly Api[]): Promise<readonly AnyService[]> {
  return (await Promise.all(apis.map((api) => api.load()))).flat();
}

export async function sampleRequests(apis: readonly Api[]): Promise<Sample[]> {
  const samples = await Promise.all(apis.map(async (api) => (await api.load()).flatMap((service) => samplesOf(api, service))));
  return samples.flat();
}

function samplesOf(api: Api, service: AnyService): Sample[] {
  const outline = api.services.find(({ typeName }) => typeName === service.desc.typeName);
  return service.desc.methods.flatMap((method) => {
    const [first] = outline?.methods[method.name] ?? [];
    if (first === undefined) return [];
    const [verb = '', pattern = '', bodyField] = first.split(' ');
    const binding = { verb, path: pattern, body: bodyField };
    const json: Record<string, unknown> = {};
    const path = binding.path.replace(/\{([a-zA-Z0-9_.]+)(?:=([^}]+))?\}/g, (_match, field: string, pattern: string | undefined) => {
      const value = sampleName(pattern ?? '*', service);
      assign(json, field.split('.'), value);
      return value;
    });
    const name = `${service.desc.typeName}.${method.name}`;
    const fields = FIELDS[name] ?? {};
    // Names of fields and text: JSON by construction.
    const request = fromJson(method.input, { ...(json as JsonObject), ...fields });
    const hasBody = binding.body !== undefined && binding.body !== '';
    // A body that is one field holds that field's value; a GET carries fields in its query.
    const body = !hasBody ? undefined : binding.body === '*' ? fields : (fields[binding.body ?? ''] ?? {});
    const query =
      binding.body === '*'
        ? ''
        : new URLSearchParams(
            Object.entries(fields)
              .filter(([key]) => key !== binding.body)
              .map(([key, value]): [string, string] => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
          ).toString();
    return [{ service, method, name, verb: binding.verb, path: `/${service.host}${path}${query === '' ? '' : `?${query}`}`, body, request }];
  });
}

/** The names of deny policies: the collection's place is held by a star. */
const DENY_POLICY = ['policies', 'cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo', 'denypolicies', 'sample', 'operations', '123'];

function sampleName(pattern: string, service: AnyService): string {
  // Names of accounts have no project there.
  if (service.host === 'iamcredentials.googleapis.com') return `projects/-/serviceAccounts/${SEGMENTS['serviceAccounts']}`;
  if (pattern.startsWith('policies/')) return DENY_POLICY.slice(0, pattern.split('/').length).join('/');
  // Service Usage leaves the kind of container open.
  const parts = pattern === '**' ? ['projects', '*'] : pattern.replace(/^\*\/\*/, 'projects/*').split('/');
  return parts
    .map((part, index) => (part === '*' || part === '**' ? (SEGMENTS[parts[index - 1] ?? (service.host.startsWith('cloudresourcemanager') ? 'projects' : '')] ?? 'sample') : part))
    .join('/');
}

function assign(json: Record<string, unknown>, path: readonly string[], value: string): void {
  const [first = '', ...rest] = path;
  if (rest.length === 0) json[first] = value;
  else {
    const inner = (json[first] ?? {}) as Record<string, unknown>;
    json[first] = inner;
    assign(inner, rest, value);
  }
}
