import { expect, test } from 'vitest';
import { Control } from '../gen/actas/v1/control_pb.js';
import { Projects } from '../gen/google/cloud/resourcemanager/v3/projects_pb.js';
import { Jobs } from '../gen/google/cloud/run/v2/job_pb.js';
import { LoggingServiceV2 } from '../gen/google/logging/v2/logging_pb.js';
import { unimplementedService } from '../services/service.ts';
import { createScopeRule } from './scopes.ts';

const AUTH = 'https://www.googleapis.com/auth/';
const run = unimplementedService(Jobs, 'run.googleapis.com');
const manager = unimplementedService(Projects, 'cloudresourcemanager.googleapis.com');
const control = unimplementedService(Control, 'actas.internal');
const logging = unimplementedService(LoggingServiceV2, 'logging.googleapis.com');

test.each([
  ['everything', run, Jobs.method.createJob, undefined, true],
  ['the scope of the proto', run, Jobs.method.createJob, [`${AUTH}cloud-platform`], true],
  ['one of several', run, Jobs.method.createJob, ['openid', `${AUTH}cloud-platform`], true],
  ['none', run, Jobs.method.getJob, [], false],
  ['who one is', run, Jobs.method.getJob, ['openid', 'email'], false],
  ['another API', run, Jobs.method.getJob, [`${AUTH}devstorage.read_write`], false],
  ['a scope that only begins alike', run, Jobs.method.getJob, [`${AUTH}cloud-platform.evil`], false],
  ['reading, to read', manager, Projects.method.getProject, [`${AUTH}cloud-platform.read-only`], true],
  ['reading, to write', manager, Projects.method.deleteProject, [`${AUTH}cloud-platform.read-only`], false],
  ['logging.read, to read', logging, LoggingServiceV2.method.listLogEntries, [`${AUTH}logging.read`], true],
  ['logging.read, to delete', logging, LoggingServiceV2.method.deleteLog, [`${AUTH}logging.read`], false],
  ['an API whose proto says nothing, to read', control, Control.method.getStatus, [`${AUTH}cloud-platform.read-only`], true],
  ['an API whose proto says nothing, to write', control, Control.method.issueToken, [`${AUTH}cloud-platform.read-only`], false],
  ['our own API', { ...run, scopes: ['openid'] }, Jobs.method.createJob, ['openid'], true],
] as const)('%s', (_name, service, method, held, open) => {
  expect(createScopeRule().isOpen(service, method, held)).toBe(open);
});
