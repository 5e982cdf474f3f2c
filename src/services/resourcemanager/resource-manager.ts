/**
 * Resource Manager, v3, v2 and v1: projects, folders, organizations and tags, their allow policies, liens, and the operations of all of them.
 * All versions are views of the same rows.
 *
 * Invariants: a project has its default service account and its service agent's binding from the transaction that makes it; ids and
 * numbers are never given twice; a caller learns of nothing that it may not get: lists and searches leave it out, and to read a
 * project that does not exist is denied like one that is not the caller's, because nothing above an unknown project can grant it.
 * Must not know: how decisions are made, or what other services keep in a project.
 */
import type { AnyService } from '../service.ts';
import { createFoldersV2Service } from './folders-v2.ts';
import { createFoldersV3Service } from './folders-v3.ts';
import { createLiensService } from './liens.ts';
import type { ResourceManagerDeps } from './node-policies.ts';
import { createOperationsService } from './operations.ts';
import { createOrganizationsV1Service, createOrganizationsV3Service } from './organizations.ts';
import { createProjectsV1Service } from './projects-v1.ts';
import { createProjectsV3Service } from './projects-v3.ts';
import { createTagBindingsService } from './tag-bindings.ts';
import { createTagHoldsService } from './tag-holds.ts';
import { createTagKeysService } from './tag-keys.ts';
import { createTagValuesService } from './tag-values.ts';

/** Every service of cloudresourcemanager.googleapis.com that we serve, google.longrunning.Operations among them. */
export function createResourceManagerServices(deps: ResourceManagerDeps): readonly AnyService[] {
  return [
    createProjectsV3Service(deps),
    createFoldersV3Service(deps),
    createOrganizationsV3Service(deps),
    createFoldersV2Service(deps),
    createProjectsV1Service(deps),
    createOrganizationsV1Service(deps),
    createLiensService(deps),
    createTagKeysService(deps),
    createTagValuesService(deps),
    createTagBindingsService(deps),
    createTagHoldsService(deps),
    createOperationsService(deps),
  ];
}
