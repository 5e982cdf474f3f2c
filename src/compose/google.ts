/** What a start says and refuses where service accounts act as real ones of Google Cloud. Few starts have any, but all load this. */
import type { Config } from '../config.ts';
import type { Log } from '../services/service.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Whether a URL leads to this control plane's own listener. */
export function leadsHere(url: string, names: ReadonlySet<string>, ownPort: number | undefined): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return Number(port || (protocol === 'https:' ? 443 : 80)) === ownPort && (['127.0.0.1', 'localhost', '::1'].includes(host) || names.has(host));
}

/**
 * Loud, for what such a task does is real.
 * @throws Error with a sentence, where calls for their tokens would not reach Google
 */
export function announceGoogleAccounts(config: Config, env: Env, isOwn: (url: string) => boolean, log: Log): void {
  if (Object.keys(config.identities).length > 0) refuseProxyToActas(env, isOwn);
  for (const [email, { account, project, endpoint }] of Object.entries(config.identities))
    log.warn(
      { serviceAccount: email, account, project, endpoint },
      `tasks of ${email} act as the real ${account} at Google, in project ${project}: what they change there is changed`,
    );
}

/** `actas env` leads whatever its shell starts to a control plane of actas. */
function refuseProxyToActas(env: Env, isOwn: (url: string) => boolean): void {
  // Those that Google's library reads, the first of them.
  const name = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].find((variable) => env[variable]);
  const proxy = name === undefined ? undefined : env[name];
  if (name === undefined || !proxy) return;
  const isOther = env['ACTAS_URL'] !== undefined && sameOrigin(proxy, env['ACTAS_URL']);
  if (isOwn(proxy) || isOther)
    throw new Error(
      `identities: ${name} is ${proxy}, which is ${isOwn(proxy) ? 'this control plane itself' : 'another control plane of actas'}, so no real account of Google's can be reached. ` +
        'Start it in a shell without what `actas env` sets.',
    );
}

function sameOrigin(one: string, other: string): boolean {
  return URL.canParse(one) && URL.canParse(other) && new URL(one).origin === new URL(other).origin;
}
