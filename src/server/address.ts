/**
 * What a request is aimed at: which API (by `Host`, by an explicit `/SERVICE_HOST/` prefix, or by the path alone), and whether a
 * browser page of somebody else sent it. The rules protect a server on loopback from the pages that the same person has open.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { forbidden, invalidRequest } from '../errors.ts';
import { matchesName } from '../identity/front-names.ts';
import { googleHost } from './google-host.ts';

export interface Target {
  /** The API's host, or undefined where only the path can tell. */
  readonly host: string | undefined;
  /** Set where a regional host was named. */
  readonly region: string | undefined;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Set where a host of Google's was named that no API here has: that host, without its region; `host` is undefined then. */
  readonly foreign?: string;
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);
/** Regions, and multi-regions such as `us`. */
const REGIONAL = /^([a-z]+(?:-[a-z]+\d+)?)-(.+)$/;

/** @param allowed further names under which this server may be addressed, without port */
export function createAddressing(services: ReadonlySet<string>, allowed: ReadonlySet<string>) {
  const known = (name: string): { host: string; region: string | undefined } | undefined => {
    if (services.has(name)) return { host: name, region: undefined };
    const regional = REGIONAL.exec(name);
    if (regional?.[1] !== undefined && regional[2] !== undefined && services.has(regional[2])) return { host: regional[2], region: regional[1] };
    // `secretmanager.us-central1.rep.googleapis.com`.
    const endpoint = googleHost(name);
    return endpoint?.region !== undefined && services.has(endpoint.host) ? endpoint : undefined;
  };
  return {
    /**
     * @param url the request's target as it came: paths are not normalised, so `//` or `..` are no way around a prefix
     * @throws PERMISSION_DENIED for a name that is not ours (DNS rebinding), INVALID_ARGUMENT for none or two
     */
    resolve(authority: string | undefined, url: string): Target {
      const name = hostname(authority);
      if (name === undefined) throw invalidRequest('host: the request names no host.');
      const { path, query } = splitTarget(url, authority);
      const named = known(name);
      if (named !== undefined) return withRegion({ ...named, path, query });
      const foreign = googleHost(name);
      if (foreign !== undefined && !allowed.has(name)) return { host: undefined, foreign: foreign.host, region: foreign.region, path, query };
      if (!LOOPBACK.has(name) && !matchesName(name, allowed))
        throw forbidden(`The host ${JSON.stringify(name)} is not a name of this server. Add it with --allowed-host, or use localhost or the host of an API.`);
      const prefix = /^\/([a-z0-9.-]+)(\/.*)$/.exec(path);
      const prefixed = prefix?.[1] === undefined ? undefined : known(prefix[1]);
      if (prefixed !== undefined && prefix?.[2] !== undefined) return withRegion({ ...prefixed, path: withOneVersion(prefix[2]), query });
      const unknown = prefix?.[1] === undefined ? undefined : googleHost(prefix[1]);
      if (unknown !== undefined && prefix?.[2] !== undefined) return { host: undefined, foreign: unknown.host, region: unknown.region, path: prefix[2], query };
      return withRegion({ host: undefined, region: undefined, path, query });
    },
    /** @throws PERMISSION_DENIED where a page of another origin sent this */
    checkOrigin(headers: IncomingHttpHeaders, authority: string | undefined): void {
      const site = headers['sec-fetch-site'];
      if (site !== undefined && site !== 'same-origin' && site !== 'none') throw forbidden(`Requests from pages of another site are refused (Sec-Fetch-Site: ${site}).`);
      const { origin } = headers;
      if (origin !== undefined && !sameOrigin(origin, authority)) throw forbidden(`Requests from pages of another origin are refused (Origin: ${origin.slice(0, 200)}).`);
    },
  };
}
export type Addressing = ReturnType<typeof createAddressing>;

/**
 * `/r/REGION` in front of a path says what a regional host says, for clients that can be given a path but no such host. The paths of Kubernetes'
 * shape (`/apis/...`) have no place for the region, so there it stands in front of the path however it was said, for the routes to find.
 */
function withRegion(target: Target): Target {
  const said = /^\/r\/([a-z]+-[a-z]+\d+)(\/.*)$/.exec(target.path);
  if (said?.[2] !== undefined && target.region !== undefined && said[1] !== target.region)
    throw invalidRequest(`host: the host is that of ${target.region}, but the path that of ${said[1] ?? ''}.`);
  const region = said?.[1] ?? target.region;
  const path = said?.[2] ?? target.path;
  return { ...target, region, path: region !== undefined && path.startsWith('/apis/') ? `/r/${region}${path}` : path };
}

/**
 * Terraform's google provider takes the version off an endpoint that it is given before its client library puts one on, but off `https://` ones alone; of
 * `http://.../iam.googleapis.com/v1/` it makes `/v1/v1/projects/...`. No API has such a path.
 */
function withOneVersion(path: string): string {
  return path.replace(/^(\/v\d+(?:(?:alpha|beta)\d*)?)(?=\1\/)/, '');
}

function hostname(authority: string | undefined): string | undefined {
  return authority === undefined ? undefined : /^(\[[0-9a-f:.]+\]|[^:/@\s]+)(?::\d{1,5})?$/i.exec(authority)?.[1]?.toLowerCase();
}

/** A client of a proxy sends the absolute form; its name must be the one in `Host`, or two programs on the way could disagree about whom it is for. */
function splitTarget(url: string, authority: string | undefined): { path: string; query: URLSearchParams } {
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/is.exec(url);
  if (absolute !== null && absolute[1]?.toLowerCase() !== authority?.toLowerCase()) throw invalidRequest('host: the request line and the Host header name different hosts.');
  const target = absolute?.[2] ?? url;
  const cut = target.indexOf('?');
  return cut < 0 ? { path: target, query: new URLSearchParams() } : { path: target.slice(0, cut), query: new URLSearchParams(target.slice(cut)) };
}

function sameOrigin(origin: string, authority: string | undefined): boolean {
  try {
    return authority !== undefined && new URL(origin).host === authority.toLowerCase();
  } catch {
    // `null` and other opaque origins are nobody's.
    return false;
  }
}
