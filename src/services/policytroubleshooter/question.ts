/** What a request asks, checked, for every version of the API. */
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../../errors.ts';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { Question } from '../../policy/decision.ts';
import { fromTimestamp, type Micros } from '../../timestamp.ts';

/** The access tuple of any version. */
export interface AccessTuple {
  readonly principal: string;
  readonly fullResourceName: string;
  readonly permission: string;
  readonly conditionContext?: { readonly request?: { readonly receiveTime?: Timestamp } };
}

const EMAIL = /^[^\s@:?[\]/]{1,128}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i;

/**
 * Deviation: without `condition_context.request.receive_time` conditions see the server's time, and what a resource offers to conditions comes from the resource itself, whatever `condition_context.resource` says.
 * @throws INVALID_ARGUMENT naming the field
 */
export function readQuestion(tuple: AccessTuple | undefined, catalogue: RoleCatalogue, now: Micros): Question {
  if (tuple === undefined) throw invalidArgument('access_tuple', 'required field not present.');
  const { principal, fullResourceName, permission, conditionContext } = tuple;
  if (!EMAIL.test(principal))
    throw invalidArgument('access_tuple.principal', `${JSON.stringify(principal)} is not the e-mail address of a user or service account, for example alice@example.com.`);
  if (!/^\/\/[^/\s]+(?:\/[^\s]*)?$/.test(fullResourceName) || fullResourceName.length > 2048)
    throw invalidArgument(
      'access_tuple.full_resource_name',
      `${JSON.stringify(fullResourceName.slice(0, 100))} is not a full resource name, for example //cloudresourcemanager.googleapis.com/projects/my-project.`,
    );
  // The length first: there are many ways to part a long one.
  if (permission.length > 256 || !/^[a-z][\w-]*(?:\.[\w-]+)*(?:\/[\w-]+)?(?:\.[\w-]+)+$/i.test(permission))
    throw invalidArgument('access_tuple.permission', `${JSON.stringify(permission.slice(0, 100))} is not a permission, for example resourcemanager.projects.get.`);
  const received = conditionContext?.request?.receiveTime;
  return {
    member: `${/(?:^|[.@])gserviceaccount\.com$/i.test(principal) ? 'serviceAccount' : 'user'}:${principal}`,
    permission: permissionOfV1(permission, catalogue),
    resource: fullResourceName,
    time: received === undefined ? now : fromTimestamp(received),
  };
}

/** `run.googleapis.com/jobs.run` is `run.jobs.run`; some permissions have a slash in v1 too. */
function permissionOfV1(permission: string, catalogue: RoleCatalogue): string {
  const { service, rest } = /^(?<service>[a-z0-9-]+)\.googleapis\.com\/(?<rest>.+)$/.exec(permission)?.groups ?? {};
  if (service === undefined || rest === undefined || catalogue.rolesWith(permission).length > 0) return permission;
  return `${service === 'cloudresourcemanager' ? 'resourcemanager' : service}.${rest}`;
}
