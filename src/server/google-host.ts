/** Which names are Google's: a request for one of them was meant for an API, whether it is served here or not. */

import { isGoogleName } from '../identity/front-names.ts';

/** Older names of container images: said in the clear they are answered, but no certificate is made for them. */
const IMAGES = /^(?:[a-z0-9-]+\.)*gcr\.io$/;
const API = '.googleapis.com';
/** `us-central1-pubsub.googleapis.com`; a multi-region (`us-`) is not told from a name that happens to begin so. */
const REGIONAL = /^([a-z]+-[a-z]+\d+)-([a-z][a-z0-9-]*\.googleapis\.com)$/;
/** `pubsub.us-central1.rep.googleapis.com`. */
const REGIONAL_ENDPOINT = /^([a-z][a-z0-9-]*)\.([a-z]+-[a-z]+\d+)\.rep\.googleapis\.com$/;

/** @param name in lower case, without port @returns undefined for a name that is not Google's */
export function googleHost(name: string): { readonly host: string; readonly region: string | undefined } | undefined {
  if (!isGoogleName(name) && !IMAGES.test(name)) return undefined;
  const regional = REGIONAL.exec(name);
  if (regional?.[2] !== undefined) return { host: regional[2], region: regional[1] };
  const endpoint = REGIONAL_ENDPOINT.exec(name);
  if (endpoint?.[1] !== undefined) return { host: `${endpoint[1]}${API}`, region: endpoint[2] };
  return { host: name, region: undefined };
}
