/** What a start says and refuses where service accounts act as real ones of Google Cloud. */
import { existsSync } from 'node:fs';
import type { Config } from '../config.ts';
import { describeGoogleAccounts } from '../identity/google-account.ts';
import type { Log } from '../services/service.ts';
import type { Store } from '../store/database.ts';
import { findServiceAccount } from '../store/service-accounts.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Whether a URL leads to this control plane's own listener. */
export function leadsHere(url: string, names: ReadonlySet<string>, ownPort: number | undefined): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return Number(port || (protocol === 'https:' ? 443 : 80)) === ownPort && (['127.0.0.1', 'localhost', '::1'].includes(host) || names.has(host));
}

export interface GoogleStart {
  readonly config: Config;
  readonly env: Env;
  /** Under which this server may be addressed. */
  readonly names: ReadonlySet<string>;
  readonly ownPort: number;
  readonly store: Store;
  readonly log: Log;
}

/**
 * Loud, for what such a task does is real.
 * @throws Error with a sentence, where calls for their tokens would not reach Google
 */
export async function announceGoogleAccounts({ config: { identities }, env, names, ownPort, store, log }: GoogleStart): Promise<void> {
  refuseProxyToActas(env, (url) => leadsHere(url, names, ownPort));
  for (const [email, { ca }] of Object.entries(identities))
    if (ca !== undefined && !existsSync(ca)) throw new Error(`identities: ${email}: ca is ${JSON.stringify(ca)}: there is no such file.`);
  for (const { email, sentence } of describeGoogleAccounts(identities)) {
    log.warn({ serviceAccount: email, endpoint: identities[email]?.endpoint }, sentence);
    // A slip in the address would leave tasks with local tokens, and nobody would know why.
    if ((await findServiceAccount(store.read, email)) === undefined) log.warn({ serviceAccount: email }, `identities: there is no service account ${email} here, or not yet`);
  }
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
