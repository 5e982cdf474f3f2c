/**
 * Cloud Run v1, as gcloud and YAML of kind Job speak it: jobs, executions and tasks as objects in the shape of Kubernetes. A second view of what
 * v2 stores: every method says in v2's words what is to be done, v2's handler does it, and the result is shown in v1's words.
 * Invariants: nothing is stored here; what v1 can say and v2 has no place for is refused by name, never dropped; answers name the namespace by
 * the project's number, and carry each field without which gcloud cannot go on.
 * Must not know: the store's tables beyond reading, or who drives an execution.
 */
import { Namespaces, ProjectLocations } from '../../../gen/google/cloud/run/v1/namespaces_pb.js';
import { type AnyService, type Check, defineService } from '../../service.ts';
import { jobMethods as v2JobMethods } from '../jobs.ts';
import { REGIONS, resource } from '../places.ts';
import type { RunDeps } from '../run-deps.ts';
import { executionMethods } from './executions.ts';
import { jobMethods } from './jobs.ts';
import { parseNamespace, requireProject } from './places.ts';

export function createRunV1Services(deps: RunDeps): readonly AnyService[] {
  const api = {
    host: 'run.googleapis.com',
    legacyErrors: false,
    denied: ({ permission, asked }: Required<Check>) => `Permission '${permission}' denied on resource '${asked}' (or resource may not exist).`,
  };
  const { getIamPolicy, setIamPolicy, testIamPermissions } = v2JobMethods(deps);
  return [
    defineService<typeof Namespaces>({ ...api, desc: Namespaces, methods: { ...jobMethods(deps), ...executionMethods(deps) } }),
    defineService<typeof ProjectLocations>({
      ...api,
      desc: ProjectLocations,
      methods: {
        getIamPolicy,
        setIamPolicy,
        testIamPermissions,
        listLocations: {
          access: {
            checks({ name }) {
              const project = parseNamespace(name.replace(/^projects\//, 'namespaces/'));
              return [{ permission: 'run.locations.list', resource: resource(`projects/${project}`), asked: name }];
            },
          },
          async handle({ name }) {
            const { project_id: project } = await requireProject(deps.store.read, name.slice('projects/'.length));
            return {
              locations: [...REGIONS].map((region) => ({
                name: `projects/${project}/locations/${region}`,
                locationId: region,
                displayName: region,
                labels: { 'cloud.googleapis.com/region': region },
              })),
            };
          },
        },
      },
    }),
  ];
}
