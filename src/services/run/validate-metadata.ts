/** Labels and annotations: the limits of both, and the namespaces that are the platform's own. */
import { invalidArgument } from '../../errors.ts';

/** Rejected by the v2 API: what they said in v1 has fields of its own (job.proto). */
const RESERVED = ['run.googleapis.com', 'cloud.googleapis.com', 'serving.knative.dev', 'autoscaling.knative.dev'];
const MAX_LABELS = 64;
/** An optional DNS prefix, as gcloud's own labels have (`client.knative.dev/nonce`), and a key of letters without upper case. */
const LABEL_KEY = /^(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\/)?[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u;
const LABEL_VALUE = /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u;
const ANNOTATION_KEY = /^(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const MAX_ANNOTATION_BYTES = 256 * 1024;

/** @param path `labels` or `template.labels` */
export function validateLabels(labels: { readonly [key: string]: string }, path: string): void {
  const keys = Object.keys(labels);
  if (keys.length > MAX_LABELS) throw invalidArgument(path, `At most ${MAX_LABELS} labels are allowed, but ${keys.length} were sent.`);
  for (const [key, value] of Object.entries(labels)) {
    refuseReserved(key, path, 'Label');
    if (!LABEL_KEY.test(key))
      throw invalidArgument(path, `Label key '${key}' must have 1 to 63 characters, begin with a lowercase letter, and hold only lowercase letters, digits, '_' and '-'.`);
    if (!LABEL_VALUE.test(value))
      throw invalidArgument(path, `The value '${value}' of label '${key}' must have at most 63 characters and hold only lowercase letters, digits, '_' and '-'.`);
  }
}

/** @param path `annotations` or `template.annotations` */
export function validateAnnotations(annotations: { readonly [key: string]: string }, path: string): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    refuseReserved(key, path, 'Annotation');
    if (!ANNOTATION_KEY.test(key))
      throw invalidArgument(path, `Annotation key '${key}' must be a name of 1 to 63 letters, digits, '-', '_' and '.', with a DNS prefix and '/' before it or none.`);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > MAX_ANNOTATION_BYTES) throw invalidArgument(path, `Annotations are limited to ${MAX_ANNOTATION_BYTES} bytes in total, but have ${bytes}.`);
}

function refuseReserved(key: string, path: string, what: string): void {
  const namespace = RESERVED.find((reserved) => key === reserved || key.startsWith(`${reserved}/`));
  if (namespace !== undefined)
    throw invalidArgument(path, `${what} '${key}' is in the reserved namespace '${namespace}', which the v2 API does not support. Use the field of the resource instead.`);
}
