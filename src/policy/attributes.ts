/**
 * What a resource offers to conditions: `resource.name`, `resource.type` and `resource.service`, where Google's services do. Cloud Run, IAM and Artifact Registry
 * do not, so a condition on `resource.name` gives nothing on a job or a service account.
 * Source: https://cloud.google.com/iam/docs/conditions-resource-attributes
 */
import type { ResourceAttributes } from './condition.ts';

const NOTHING: ResourceAttributes = {};

/**
 * @param fullName of the resource that is asked about
 * @param project the project that it is in, where it is in one
 */
export function resourceAttributes(fullName: string, project: { readonly id: string; readonly number: string } | undefined): ResourceAttributes {
  const [host = '', , , ...rest] = fullName.slice(2).split('/');
  if (project === undefined) return NOTHING;
  const path = rest.join('/');
  switch (host) {
    case 'cloudresourcemanager.googleapis.com':
      return rest.length === 0 ? { service: host, type: 'cloudresourcemanager.googleapis.com/Project' } : NOTHING;
    case 'secretmanager.googleapis.com': {
      if (!rest.includes('secrets')) return NOTHING;
      const isVersion = rest.at(-2) === 'versions';
      // By number here, whichever was asked for; `latest` and `3` are different names of what may be one version.
      return { service: host, type: `${host}/${isVersion ? 'SecretVersion' : 'Secret'}`, name: `projects/${project.number}/${path}` };
    }
    case 'logging.googleapis.com': {
      const type = rest.at(-2) === 'views' ? 'LogView' : rest.at(-2) === 'buckets' ? 'LogBucket' : undefined;
      return type === undefined ? NOTHING : { service: host, type: `${host}/${type}`, name: `projects/${project.id}/${path}` };
    }
    case 'storage.googleapis.com': {
      const [, bucket, , object] = rest;
      if (bucket === undefined) return NOTHING;
      // Names of buckets and objects leave the project out; an object's is one segment in ours.
      if (object === undefined) return { service: host, type: `${host}/Bucket`, name: `projects/_/buckets/${bucket}` };
      return { service: host, type: `${host}/Object`, name: `projects/_/buckets/${bucket}/objects/${objectName(object)}` };
    }
    case 'firestore.googleapis.com':
      return rest[0] === 'databases' ? { service: host, type: `${host}/Database`, name: `projects/${project.id}/${path}` } : NOTHING;
    default:
      return NOTHING;
  }
}

/** As a full resource name has it, percent-encoded; what is not encoded so is taken as it is. */
function objectName(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
