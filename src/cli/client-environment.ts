/**
 * The variables that bring unmodified clients here: gcloud, Terraform, curl, and the client libraries of Node, Python, Go and Java. By a proxy and a
 * trusted authority, so that the names of Google's APIs lead here whatever the program is; or (`direct`) by overridden endpoints, for who has them.
 */
import { join } from 'node:path';
import { bypassesGoogle } from '../identity/front-names.ts';
import { clientDirectory, fetchAuthority, STORE_PASSWORD, writeBundles, writeCredentials, writeJavaStore } from './client-files.ts';
import type { Io } from './io.ts';
import type { Session } from './session.ts';
import type { Target } from './target.ts';

export type Mode = 'proxy' | 'direct';

export interface ClientEnvironment {
  readonly set: Readonly<Record<string, string>>;
  /** Variables of this shell that would lead elsewhere, or to other credentials. */
  readonly unset: readonly string[];
  /** What a person should know. */
  readonly notes: readonly string[];
}

/** Variables that choose another server, other credentials or another way there, whatever else is said. */
const CLASHING =
  /^(?:CLOUDSDK_API_ENDPOINT_OVERRIDES_\w+|CLOUDSDK_API_CLIENT_OVERRIDES_\w+|CLOUDSDK_AUTH_\w+|CLOUDSDK_PROXY_\w+|CLOUDSDK_REGIONAL_\w+|CLOUDSDK_CORE_(?:UNIVERSE_DOMAIN|ACCOUNT|CUSTOM_CA_CERTS_FILE)|GOOGLE_\w+_CUSTOM_ENDPOINT|GOOGLE_(?:CREDENTIALS|CLOUD_KEYFILE_JSON|OAUTH_ACCESS_TOKEN|IMPERSONATE_SERVICE_ACCOUNT|APPLICATION_CREDENTIALS|CLOUD_UNIVERSE_DOMAIN|UNIVERSE_DOMAIN|GHA_CREDS_PATH|API_USE_MTLS_ENDPOINT)|GCLOUD_KEYFILE_JSON|NODE_TLS_REJECT_UNAUTHORIZED)$/;

/** @throws CliFailure where there is no control plane, or its authority cannot be had */
export async function clientEnvironment(session: Session, options: { readonly mode: Mode; readonly java: boolean }): Promise<ClientEnvironment> {
  const { env } = session.io;
  const target = await session.target();
  const { project, region } = await session.location();
  const directory = clientDirectory(session);
  const who = await credentialVariables(session, target, directory);
  const way = options.mode === 'proxy' ? await proxyVariables(target.url, directory, env, options.java) : directVariables(target.url, region);
  const set = {
    ...way.set,
    ...who.set,
    ACTAS_URL: target.url,
    CLOUDSDK_CONFIG: join(directory, 'gcloud'),
    CLOUDSDK_CORE_PROJECT: project,
    CLOUDSDK_RUN_REGION: region,
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
    CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: 'true',
    GOOGLE_CLOUD_PROJECT: project,
    GOOGLE_REGION: region,
    // No look for a metadata server of Google's, nor for a client certificate of the company's.
    NO_GCE_CHECK: 'true',
    GOOGLE_API_USE_CLIENT_CERTIFICATE: 'false',
  };
  const unset = Object.keys(env).filter((name) => env[name] !== undefined && CLASHING.test(name) && !(name in set));
  return { set, unset: unset.sort(), notes: [...who.notes, ...way.notes] };
}

interface Part {
  readonly set: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
}

async function credentialVariables(session: Session, target: Target, directory: string): Promise<Part> {
  const { file, token, why } = await writeCredentials(session, target, directory);
  const set: Record<string, string> = {};
  if (file !== undefined) set['GOOGLE_APPLICATION_CREDENTIALS'] = file;
  if (token !== undefined) set['CLOUDSDK_AUTH_ACCESS_TOKEN'] = token;
  // Terraform takes it before any file; a file lasts longer.
  if (token !== undefined && file === undefined) set['GOOGLE_OAUTH_ACCESS_TOKEN'] = token;
  if (token !== undefined && target.principal !== undefined) set['ACTAS_TOKEN'] = token;
  return {
    set,
    notes:
      file === undefined
        ? [`Client libraries get no credentials file (${why ?? 'no caller'}); gcloud and Terraform get a token. For a service account try --impersonate-service-account.`]
        : [],
  };
}

async function proxyVariables(url: string, directory: string, env: Io['env'], java: boolean): Promise<Part> {
  const { authority, bundle } = writeBundles(directory, await fetchAuthority(url), env);
  const { hostname, port } = new URL(url);
  const given = (env['NO_PROXY'] || env['no_proxy'] || '').split(',').map((entry) => entry.trim());
  const direct = [...new Set([...given.filter((entry) => entry !== '' && !bypassesGoogle(entry)), 'localhost', '127.0.0.1', '::1'])].join(',');
  const set: Record<string, string> = {
    // Programs differ in which spelling they read.
    ...both('https_proxy', url),
    ...both('no_proxy', direct),
    grpc_proxy: url,
    no_grpc_proxy: direct,
    NODE_USE_ENV_PROXY: '1',
    NODE_EXTRA_CA_CERTS: env['NODE_EXTRA_CA_CERTS'] ? bundle : authority,
    SSL_CERT_FILE: bundle,
    REQUESTS_CA_BUNDLE: bundle,
    CURL_CA_BUNDLE: bundle,
    HTTPLIB2_CA_CERTS: bundle,
    GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: bundle,
    CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE: bundle,
    CLOUDSDK_PROXY_TYPE: 'http',
    CLOUDSDK_PROXY_ADDRESS: hostname,
    CLOUDSDK_PROXY_PORT: port,
  };
  const store = java ? writeJavaStore(directory, authority, env) : undefined;
  if (store !== undefined) {
    const words = [`-Dhttps.proxyHost=${hostname}`, `-Dhttps.proxyPort=${port}`, `-Djavax.net.ssl.trustStore=${store}`, `-Djavax.net.ssl.trustStorePassword=${STORE_PASSWORD}`];
    const before = (env['JAVA_TOOL_OPTIONS'] ?? '').split(/\s+/).filter((word) => word !== '' && !/^-D(?:https\.proxy|javax\.net\.ssl\.trustStore)/.test(word));
    set['JAVA_TOOL_OPTIONS'] = [...before, ...words].join(' ');
  }
  const elsewhere = env['HTTPS_PROXY'] || env['https_proxy'];
  return { set, notes: elsewhere && elsewhere !== url ? [`Other hosts are reached from the control plane itself, no longer through ${withoutPassword(elsewhere)}.`] : [] };
}

function both(name: string, value: string): Record<string, string> {
  return { [name]: value, [name.toUpperCase()]: value };
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}

/** gcloud's names of APIs. */
const GCLOUD_APIS = ['iam', 'cloudresourcemanager', 'logging', 'orgpolicy', 'serviceusage', 'iamcredentials', 'policytroubleshooter', 'sts'];
/** Of Terraform's google provider, with the version that each endpoint has to name: `GOOGLE_..._CUSTOM_ENDPOINT`, or `..._custom_endpoint` in its block. */
export const TERRAFORM_ENDPOINTS: Readonly<Record<string, string>> = {
  CLOUD_RUN_V2: 'run.googleapis.com/v2/',
  IAM: 'iam.googleapis.com/v1/',
  IAM_BETA: 'iam.googleapis.com/v1/',
  IAM2: 'iam.googleapis.com/v2/',
  IAM_CREDENTIALS: 'iamcredentials.googleapis.com/v1/',
  RESOURCE_MANAGER: 'cloudresourcemanager.googleapis.com/v1/',
  // Of older providers, for folders.
  RESOURCE_MANAGER_V2: 'cloudresourcemanager.googleapis.com/v2/',
  RESOURCE_MANAGER_V3: 'cloudresourcemanager.googleapis.com/v3/',
  TAGS: 'cloudresourcemanager.googleapis.com/v3/',
  ORG_POLICY: 'orgpolicy.googleapis.com/v2/',
  SERVICE_USAGE: 'serviceusage.googleapis.com/v1/',
  CLOUD_BILLING: 'cloudbilling.googleapis.com/v1/',
};

function directVariables(url: string, region: string): Part {
  return {
    set: {
      // `gcloud run jobs` says its region in the host name alone, so here it stands in the path.
      CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN: `${url}/r/${region}/`,
      CLOUDSDK_REGIONAL_ENDPOINT_COMPATIBILITY: 'supported',
      CLOUDSDK_REGIONAL_ENDPOINT_MODE: 'regional-preferred',
      ...Object.fromEntries(GCLOUD_APIS.map((api) => [`CLOUDSDK_API_ENDPOINT_OVERRIDES_${api.toUpperCase()}`, `${url}/${api}.googleapis.com/`])),
      ...Object.fromEntries(Object.entries(TERRAFORM_ENDPOINTS).map(([name, path]) => [`GOOGLE_${name}_CUSTOM_ENDPOINT`, `${url}/${path}`])),
    },
    notes: ['These lead gcloud and Terraform here. Client libraries have no such variables, and call the real Google: give them an endpoint in code, or use --mode=proxy.'],
  };
}
