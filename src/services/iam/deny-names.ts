/** Names of deny policies and of what they are attached to, taken apart at the edge. */
import { invalidRequest } from '../../errors.ts';

/** A project, folder or organization. */
export interface AttachmentPoint {
  readonly kind: 'projects' | 'folders' | 'organizations';
  /** A project's id or number, a folder's or organization's number. */
  readonly id: string;
}

const HOST = 'cloudresourcemanager.googleapis.com';
/** The attachment point is URL-encoded in the name; the REST door hands it on decoded, and some clients encode it twice. */
const NAME = /^policies\/(?<point>.+?)\/denypolicies(?:\/(?<id>[^/\s]{1,128})(?:\/operations\/(?<operation>[^/\s]{1,64}))?)?$/;
const POINT = /^cloudresourcemanager\.googleapis\.com\/(?<kind>projects|folders|organizations)\/(?<key>[a-z0-9][a-z0-9.:-]{0,62})$/;

/** @throws INVALID_ARGUMENT */
export function parseAttachedParent(parent: string): AttachmentPoint {
  const found = parse(parent);
  if (found === undefined || found.id !== undefined) throw badName('parent', parent, 'policies/ATTACHMENT_POINT/denypolicies');
  return found.point;
}

/** @throws INVALID_ARGUMENT */
export function parseDenyPolicyName(name: string, field = 'name'): { readonly point: AttachmentPoint; readonly id: string } {
  const found = parse(name);
  if (found?.id === undefined || found.operation !== undefined) throw badName(field, name, 'policies/ATTACHMENT_POINT/denypolicies/POLICY_ID');
  return { point: found.point, id: found.id };
}

/** @throws INVALID_ARGUMENT */
export function parseDenyOperationName(name: string): AttachmentPoint {
  const found = parse(name);
  if (found?.operation === undefined) throw badName('name', name, 'policies/ATTACHMENT_POINT/denypolicies/POLICY_ID/operations/OPERATION');
  return found.point;
}

/** Whether an operation is one of ours. */
export function isDenyOperation(name: string): boolean {
  return parse(name)?.operation !== undefined;
}

/** `policies/cloudresourcemanager.googleapis.com%2Fprojects%2F123/denypolicies`, and the id where one is given. */
export function denyPolicyName(point: AttachmentPoint, id: string): string {
  return `policies/${encodeURIComponent(`${HOST}/${point.kind}/${point.id}`)}/denypolicies/${id}`;
}

/** Full resource name, under which decisions look for it where `id` is a project's id. */
export function attachedResource({ kind, id }: AttachmentPoint): string {
  return `//${HOST}/${kind}/${id}`;
}

function parse(name: string): { readonly point: AttachmentPoint; readonly id: string | undefined; readonly operation: string | undefined } | undefined {
  const { point: encoded = '', id, operation } = NAME.exec(name)?.groups ?? {};
  const { kind, key = '' } = POINT.exec(decoded(encoded))?.groups ?? {};
  if ((kind !== 'projects' && kind !== 'folders' && kind !== 'organizations') || (kind !== 'projects' && !/^\d+$/.test(key))) return undefined;
  return { point: { kind, id: key }, id, operation };
}

function decoded(text: string): string {
  return text.replaceAll(/%25/g, '%').replaceAll(/%2f/gi, '/');
}

function badName(field: string, value: string, form: string) {
  return invalidRequest(
    `${field}: ${JSON.stringify(value)} is not valid. Write ${form}, where ATTACHMENT_POINT is for example cloudresourcemanager.googleapis.com%2Fprojects%2FPROJECT_ID; folders and organizations by number.`,
    [{ field, description: `must be ${form}` }],
  );
}
