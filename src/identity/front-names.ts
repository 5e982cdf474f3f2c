/** The names that the front door answers for, beside the server's own: those of Google's APIs, served or not, and what belongs to them. */

/** Each with everything below it: the APIs, deployed services, container images, sign-in. Source: the endpoints that client libraries, gcloud and jobs call. */
export const GOOGLE_DOMAINS = ['googleapis.com', 'run.app', 'pkg.dev', 'accounts.google.com'] as const;

/** Google's too, but no API that a client would be served here: never reached through this server, nor answered for. */
const ELSEWHERE_AT_GOOGLE = ['google.com', 'gcr.io', 'appspot.com', 'cloudfunctions.net', 'googleusercontent.com', 'cloud.goog'] as const;

/** @param name in lower case, without port */
export function isGoogleName(name: string): boolean {
  return /^(?:[a-z0-9-]+\.)*[a-z0-9-]+$/.test(name) && GOOGLE_DOMAINS.some((domain) => isWithin(name, domain));
}

/** @param name in lower case, without port */
export function isElsewhereAtGoogle(name: string): boolean {
  return !isGoogleName(name) && ELSEWHERE_AT_GOOGLE.some((domain) => isWithin(name, domain));
}

/** Whether a name is one of the configured ones; `*.corp.example` stands for one label more, as in a certificate (RFC 6125 section 6.4.3). */
export function matchesName(name: string, patterns: Iterable<string>): boolean {
  for (const pattern of patterns) if (pattern === name || (pattern.startsWith('*.') && name.slice(name.indexOf('.')) === pattern.slice(1))) return true;
  return false;
}

function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

/** Whether an entry of NO_PROXY would take some name of Google's APIs past the proxy: `*`, `.googleapis.com`, `run.googleapis.com`, `com`. */
export function bypassesGoogle(entry: string): boolean {
  const name = entry
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^[*.]+/, '');
  return entry.startsWith('*') && name === '' ? true : isGoogleName(name) || GOOGLE_DOMAINS.some((domain) => isWithin(domain, name));
}
