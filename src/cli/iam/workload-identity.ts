/** `iam workload-identity-pools` and their providers, in gcloud's grammar. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { type Api, IAM, type Operation } from '../api.ts';
import type { CliCommand } from '../command.ts';
import { defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { failure, usageFailure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import type { Session } from '../session.ts';
import { collectList, collectPairs } from '../values.ts';

interface Pool {
  readonly name?: string;
  readonly displayName?: string;
  readonly description?: string;
  readonly state?: string;
  readonly disabled?: boolean;
}
interface PlaceFlags {
  readonly location?: string;
  readonly workloadIdentityPool?: string;
}
interface TextFlags extends PlaceFlags {
  readonly displayName?: string;
  readonly description?: string;
  readonly disabled?: boolean;
}
interface ProviderFlags extends TextFlags {
  readonly issuerUri?: string;
  readonly allowedAudiences?: readonly string[];
  readonly attributeMapping?: ReadonlyMap<string, string>;
  readonly attributeCondition?: string;
  readonly jwkJsonPath?: string;
}

const COLUMNS = [
  column<Pool>('NAME', ({ name }) => name?.split('/').at(-1) ?? ''),
  column<Pool>('DISPLAY NAME', ({ displayName }) => displayName ?? ''),
  column<Pool>('STATE', ({ state, disabled }) => (disabled === true ? 'DISABLED' : (state ?? ''))),
];
const POOLS = 'iam workload-identity-pools';
const PROVIDERS = `${POOLS} providers`;
const POOL_FLAG = '--workload-identity-pool=ci-pool --location=global';

export function registerWorkloadIdentity(iam: CliCommand, shell: Shell): void {
  const pools = defineGroup(iam, 'workload-identity-pools', 'pools of outside identities, and the providers that vouch for them');
  registerCreatePool(pools, shell);
  registerCommon(pools, shell, { path: POOLS, noun: 'workload identity pool', example: 'ci-pool --location=global', resolve: poolName });
  registerUpdatePool(pools, shell);
  registerCredentialConfig(pools, shell);
  const providers = defineGroup(pools, 'providers', 'who vouches for the identities of a pool');
  registerCreateOidc(providers, shell);
  registerUpdateOidc(providers, shell);
  registerCommon(providers, shell, { path: PROVIDERS, noun: 'workload identity pool provider', example: `github ${POOL_FLAG}`, resolve: providerName });
}

async function parentOf(session: Session<PlaceFlags>): Promise<string> {
  const { location = 'global' } = session.flags;
  if (location !== 'global') throw usageFailure(`--location is ${JSON.stringify(location)}: pools are global. Write --location=global.`);
  return `projects/${await session.project()}/locations/global`;
}

async function poolName(session: Session<PlaceFlags>, given: string): Promise<string> {
  return given.startsWith('projects/') ? given : `${await parentOf(session)}/workloadIdentityPools/${given}`;
}

async function providerName(session: Session<PlaceFlags>, given: string): Promise<string> {
  if (given.startsWith('projects/')) return given;
  return `${await poolName(session, requiredFlag(session.flags.workloadIdentityPool, '--workload-identity-pool <pool>'))}/providers/${given}`;
}

function withPlace(command: CliCommand, path: string): CliCommand {
  command.option('--location <location>', 'global, where all pools are');
  return path === PROVIDERS ? command.option('--workload-identity-pool <pool>', 'the pool of the provider') : command;
}

function withTexts(command: CliCommand): CliCommand {
  return command
    .option('--display-name <text>', 'for people; at most 32 characters')
    .option('--description <text>', 'what it is for; at most 256 characters')
    .option('--disabled', 'tokens are neither exchanged nor honoured')
    .option('--no-disabled', 'tokens are honoured (again)');
}

function withOidc(command: CliCommand): CliCommand {
  return withTexts(command)
    .option('--issuer-uri <url>', 'the issuer of the tokens, to the letter')
    .option('--allowed-audiences <audiences>', "audiences that tokens may have; without any, the provider's own name", collectList)
    .option('--attribute-mapping <pairs>', 'what the claims mean here: google.subject=assertion.sub,attribute.repo=assertion.repository', collectPairs)
    .option('--attribute-condition <expression>', "which tokens are taken: assertion.repository_owner=='octo'")
    .option('--jwk-json-path <file>', "a JSON Web Key Set in place of the issuer's published one");
}

/** Waits for the operation, then shows what it made. */
async function finish(session: Session, api: Api, operation: Operation): Promise<Pool> {
  const made = await api.finish<Pool>(IAM, operation);
  if (session.format !== undefined) await printResource(session.terminal, session.format, made);
  return made;
}

function registerCreatePool(group: CliCommand, shell: Shell): void {
  const create = withTexts(
    withPlace(
      defineCommand(group, 'create <pool>', {
        summary: 'create a workload identity pool',
        examples: [`actas ${POOLS} create ci-pool --location=global --display-name="CI system"`],
      }),
      POOLS,
    ),
  );
  onRun<TextFlags>(create, shell, async (session, id) => {
    const api = await session.api();
    const body = textsOf(session.flags);
    await finish(session, api, await api.send<Operation>('POST', IAM, `${await parentOf(session)}/workloadIdentityPools`, body, { workloadIdentityPoolId: id }));
    session.terminal.note(`Created workload identity pool [${id}].`);
  });
}

function registerUpdatePool(group: CliCommand, shell: Shell): void {
  const update = withTexts(
    withPlace(
      defineCommand(group, 'update <pool>', { summary: 'change a workload identity pool', examples: [`actas ${POOLS} update ci-pool --location=global --disabled`] }),
      POOLS,
    ),
  );
  onRun<TextFlags>(update, shell, async (session, given) => {
    const api = await session.api();
    await finish(session, api, await patch(api, await poolName(session, given), textsOf(session.flags)));
    session.terminal.note(`Updated workload identity pool [${given}].`);
  });
}

function registerCreateOidc(group: CliCommand, shell: Shell): void {
  const create = withOidc(
    withPlace(
      defineCommand(group, 'create-oidc <provider>', {
        summary: 'create a provider of OpenID Connect tokens',
        examples: [
          `actas ${PROVIDERS} create-oidc github ${POOL_FLAG} --issuer-uri=https://token.actions.githubusercontent.com --attribute-mapping=google.subject=assertion.sub,attribute.repository=assertion.repository --attribute-condition="assertion.repository_owner=='octo'"`,
        ],
      }),
      PROVIDERS,
    ),
  );
  onRun<ProviderFlags>(create, shell, async (session, id) => {
    const { flags } = session;
    requiredFlag(flags.issuerUri, '--issuer-uri <url>');
    if (flags.attributeMapping === undefined) throw usageFailure("required option '--attribute-mapping <pairs>' not specified");
    const pool = await poolName(session, requiredFlag(flags.workloadIdentityPool, '--workload-identity-pool <pool>'));
    const api = await session.api();
    await finish(session, api, await api.send<Operation>('POST', IAM, `${pool}/providers`, providerOf(flags), { workloadIdentityPoolProviderId: id }));
    session.terminal.note(`Created workload identity pool provider [${id}].`);
  });
}

function registerUpdateOidc(group: CliCommand, shell: Shell): void {
  const update = withOidc(
    withPlace(
      defineCommand(group, 'update-oidc <provider>', {
        summary: 'change a provider of OpenID Connect tokens',
        examples: [`actas ${PROVIDERS} update-oidc github ${POOL_FLAG} --allowed-audiences=https://actas.example`],
      }),
      PROVIDERS,
    ),
  );
  onRun<ProviderFlags>(update, shell, async (session, given) => {
    const api = await session.api();
    await finish(session, api, await patch(api, await providerName(session, given), providerOf(session.flags)));
    session.terminal.note(`Updated workload identity pool provider [${given}].`);
  });
}

function textsOf({ displayName, description, disabled }: TextFlags): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ displayName, description, disabled }).filter(([, value]) => value !== undefined));
}

function providerOf(flags: ProviderFlags): Record<string, unknown> {
  const oidc = Object.fromEntries(
    Object.entries({
      issuerUri: flags.issuerUri,
      allowedAudiences: flags.allowedAudiences,
      jwksJson: flags.jwkJsonPath === undefined ? undefined : readText(flags.jwkJsonPath),
    }).filter(([, value]) => value !== undefined),
  );
  return {
    ...textsOf(flags),
    ...(flags.attributeMapping === undefined ? {} : { attributeMapping: Object.fromEntries(flags.attributeMapping) }),
    ...(flags.attributeCondition === undefined ? {} : { attributeCondition: flags.attributeCondition }),
    ...(Object.keys(oidc).length === 0 ? {} : { oidc }),
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw failure(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The mask names what the flags gave, and nothing else. */
function patch(api: Api, name: string, body: Record<string, unknown>): Promise<Operation> {
  const { oidc } = body;
  const paths = [...Object.keys(body).filter((key) => key !== 'oidc'), ...(typeof oidc === 'object' && oidc !== null ? Object.keys(oidc).map((key) => `oidc.${key}`) : [])];
  if (paths.length === 0) throw failure('Nothing to change.', 'Name what, for example --display-name or --disabled.');
  return api.send<Operation>('PATCH', IAM, name, body, { updateMask: paths.join(',') });
}

interface Noun {
  readonly path: string;
  readonly noun: string;
  readonly example: string;
  resolve(session: Session<PlaceFlags>, given: string): Promise<string>;
}

/** describe, list, delete, undelete: the same for both. */
function registerCommon(group: CliCommand, shell: Shell, { path, noun, example, resolve }: Noun): void {
  const describe = withPlace(defineCommand(group, `describe <id>`, { summary: `show a ${noun}`, examples: [`actas ${path} describe ${example}`] }), path);
  onRun<PlaceFlags>(describe, shell, async (session, given) => {
    const found = await (await session.api()).get<Pool>(IAM, await resolve(session, given));
    await printResource(session.terminal, session.format ?? parseFormat('yaml'), found);
  });

  const listExample = path === PROVIDERS ? ` ${POOL_FLAG}` : ' --location=global';
  const list = addListFlags(withPlace(defineCommand(group, 'list', { summary: `list ${noun}s`, examples: [`actas ${path} list${listExample}`] }), path)).option(
    '--show-deleted',
    'deleted ones as well, which can be brought back for 30 days',
  );
  onRun<PlaceFlags & ListFlags & { readonly showDeleted?: boolean }>(list, shell, async (session) => {
    const { flags } = session;
    const [collection, field] = path === PROVIDERS ? (['providers', 'workloadIdentityPoolProviders'] as const) : (['workloadIdentityPools', 'workloadIdentityPools'] as const);
    const parent = path === PROVIDERS ? await poolName(session, requiredFlag(flags.workloadIdentityPool, '--workload-identity-pool <pool>')) : await parentOf(session);
    const found = await (await session.api()).list<Pool>(IAM, `${parent}/${collection}`, field, { query: { showDeleted: flags.showDeleted }, limit: serverLimit(flags) });
    await showList(session, found, COLUMNS, `No ${noun}s here.`);
  });

  const remove = withPlace(
    defineCommand(group, 'delete <id>', { summary: `delete a ${noun}; undelete brings it back for 30 days`, examples: [`actas ${path} delete ${example}`] }),
    path,
  );
  onRun<PlaceFlags>(remove, shell, async (session, given) => {
    const name = await resolve(session, given);
    if (!(await session.terminal.confirm(`You are about to delete ${noun} [${given}]. Continue?`))) return;
    const api = await session.api();
    await api.finish(IAM, await api.send<Operation>('DELETE', IAM, name));
    session.terminal.note(`Deleted ${noun} [${given}].`);
  });

  const undelete = withPlace(defineCommand(group, 'undelete <id>', { summary: `bring a deleted ${noun} back`, examples: [`actas ${path} undelete ${example}`] }), path);
  onRun<PlaceFlags>(undelete, shell, async (session, given) => {
    const api = await session.api();
    await finish(session, api, await api.send<Operation>('POST', IAM, `${await resolve(session, given)}:undelete`, {}));
    session.terminal.note(`Undeleted ${noun} [${given}].`);
  });
}

interface ConfigFlags {
  readonly serviceAccount?: string;
  readonly outputFile?: string;
  readonly credentialSourceFile?: string;
  readonly credentialSourceUrl?: string;
  readonly credentialSourceType?: string;
  readonly credentialSourceFieldName?: string;
  readonly subjectTokenType?: string;
}

const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:jwt';

function registerCredentialConfig(group: CliCommand, shell: Shell): void {
  const config = defineCommand(group, 'create-cred-config <provider>', {
    summary: 'write the file with which client libraries log in with an outside token',
    description: "Writes a credential configuration of type external_account, whose addresses are this control plane's. Point GOOGLE_APPLICATION_CREDENTIALS at it.",
    examples: [
      `actas ${POOLS} create-cred-config projects/123456789012/locations/global/workloadIdentityPools/ci-pool/providers/github --service-account=deployer@demo.iam.gserviceaccount.com --credential-source-file=/var/run/token --output-file=credentials.json`,
    ],
  })
    .option('--service-account <email>', 'impersonate this account with the exchanged token; without it, call as the outside identity')
    .option('--output-file <file>', 'where to write it')
    .option('--credential-source-file <file>', 'the file that holds the outside token')
    .option('--credential-source-url <url>', 'the address that answers with the outside token')
    .option('--credential-source-type <type>', 'text or json')
    .option('--credential-source-field-name <name>', 'the field of the JSON that holds the token')
    .option('--subject-token-type <type>', `the kind of the outside token (default: ${TOKEN_TYPE})`);
  onRun<ConfigFlags>(config, shell, async (session, provider) => {
    const { flags } = session;
    const outputFile = requiredFlag(flags.outputFile, '--output-file <file>');
    if ((flags.credentialSourceFile === undefined) === (flags.credentialSourceUrl === undefined))
      throw usageFailure('Exactly one of --credential-source-file and --credential-source-url is needed.');
    if (flags.credentialSourceType === 'json' && flags.credentialSourceFieldName === undefined)
      throw usageFailure('--credential-source-type=json needs --credential-source-field-name.');
    const { url } = await session.target();
    const project = await session.project();
    const name = provider.startsWith('projects/') ? provider : `projects/${project}/locations/global/workloadIdentityPools/${provider}`;
    writeFileSync(outputFile, `${JSON.stringify(credentialConfig(name, url, flags), null, 2)}\n`, { mode: 0o600 });
    chmodSync(outputFile, 0o600);
    session.terminal.note(`Created credential configuration file [${outputFile}].`);
  });
}

/** Source: https://google.aip.dev/auth/4117 */
function credentialConfig(provider: string, url: string, flags: ConfigFlags): object {
  const { serviceAccount, credentialSourceType: type, credentialSourceFieldName: field } = flags;
  const format = type === undefined ? {} : { format: { type, ...(field === undefined ? {} : { subject_token_field_name: field }) } };
  return {
    universe_domain: 'googleapis.com',
    type: 'external_account',
    audience: `//iam.googleapis.com/${provider}`,
    subject_token_type: flags.subjectTokenType ?? TOKEN_TYPE,
    token_url: `${url}/sts.googleapis.com/v1/token`,
    credential_source: { ...(flags.credentialSourceFile === undefined ? { url: flags.credentialSourceUrl } : { file: flags.credentialSourceFile }), ...format },
    ...(serviceAccount === undefined
      ? {}
      : { service_account_impersonation_url: `${url}/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${serviceAccount}:generateAccessToken` }),
  };
}
