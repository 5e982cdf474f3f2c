import { issueToken } from '../identity/issue.ts';
import type { Authorizer } from '../policy/authorizer.ts';
import type { RoleCatalogue } from '../policy/catalogue.ts';
import type { OrgPolicies } from '../policy/org-policy.ts';
import { createControlService, type StatusFacts } from '../services/control/control.ts';
import { createIamService } from '../services/iam/iam.ts';
import { createLoggingService } from '../services/logging/logging.ts';
import { createResourceManagerServices } from '../services/resourcemanager/resource-manager.ts';
import { createRunServices } from '../services/run/run.ts';
import type { AnyService } from '../services/service.ts';
import { createUnservedServices } from '../services/unserved.ts';
import type { Store } from '../store/database.ts';
import type { LogStore } from '../store/log-store.ts';
import { findProject } from '../store/projects.ts';
import type { Identity } from './identity.ts';

/** What services are made of: each takes what it needs. */
export interface ServiceParts {
  readonly store: Store;
  readonly logs: LogStore;
  readonly catalogue: RoleCatalogue;
  readonly authorizer: Authorizer;
  readonly orgPolicies: OrgPolicies;
  readonly identity: Identity;
}

/** Every API, a line each. */
export function createServices(parts: ServiceParts, status: () => StatusFacts): readonly AnyService[] {
  const { store, logs, identity } = parts;
  return [
    ...createRunServices(parts),
    createIamService(parts),
    ...createResourceManagerServices(parts),
    createLoggingService({ logs, findProjectId: async (project) => (await findProject(store.read, project))?.project_id }),
    createControlService({ mint: (principal) => issueToken(principal, identity), status }),
    ...createUnservedServices(),
  ];
}
