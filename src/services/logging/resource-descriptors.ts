/** The monitored resources that entries here are about, with their labels. Source: https://docs.cloud.google.com/monitoring/api/resources */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { MonitoredResourceDescriptorSchema } from '../../gen/google/api/monitored_resource_pb.js';

const TYPES: readonly (readonly [string, string, Readonly<Record<string, string>>])[] = [
  ['audited_resource', 'Audited Resource', { project_id: 'Project', service: 'The API that was called', method: 'The method of the API' }],
  ['cloud_run_job', 'Cloud Run Job', { project_id: 'Project', location: 'Region of the job', job_name: 'Name of the job' }],
  ['folder', 'Folder', { folder_id: 'Number of the folder' }],
  [
    'generic_task',
    'Generic Task',
    { project_id: 'Project', location: 'Where it runs', namespace: 'A cluster or namespace', job: 'A grouping of tasks', task_id: 'Tells tasks of a job apart' },
  ],
  ['global', 'Global', { project_id: 'Project' }],
  ['organization', 'Organization', { organization_id: 'Number of the organization' }],
  ['project', 'Project', { project_id: 'Project' }],
  ['service_account', 'Service Account', { project_id: 'Project', email_id: 'Address of the account', unique_id: 'Unique id of the account' }],
];

/** Deviation: the types that the control plane itself writes, and those for programs of one's own, not all of Google's. */
export const RESOURCE_DESCRIPTORS: readonly MessageInitShape<typeof MonitoredResourceDescriptorSchema>[] = TYPES.map(([type, displayName, labels]) => ({
  type,
  displayName,
  labels: Object.entries(labels).map(([key, description]) => ({ key, description })),
}));
