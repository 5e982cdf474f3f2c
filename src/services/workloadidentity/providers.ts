/** Providers: who vouches for the identities of a pool, and what its tokens' claims mean here. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { FieldMask } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../../errors.ts';
import {
  type WorkloadIdentityPoolProvider,
  WorkloadIdentityPoolProvider_State,
  WorkloadIdentityPoolProviderSchema,
  type WorkloadIdentityPools,
} from '../../gen/google/iam/v1/workload_identity_pools_pb.js';
import { faultOfJwks } from '../../identity/oidc.ts';
import { CelIssue } from '../../policy/cel/checker.ts';
import { compileAttributeCondition, compileMapping } from '../../policy/dialects.ts';
import type { Store, Tx } from '../../store/database.ts';
import { insertWorkloadIdentity, updateWorkloadIdentity, type WorkloadIdentityRow } from '../../store/workload-identity.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import type { Call, Methods } from '../service.ts';
import { checkId, checkOn, checkTexts, getLivingRow, getRow, KEPT_MICROS, markRow, newEtag, refuseTaken, storedName } from './names.ts';
import { recordOperation } from './pool-operations.ts';
import { listPage, requiredPaths } from './pools.ts';

type ProviderMethods = Pick<
  Methods<typeof WorkloadIdentityPools>,
  | 'listWorkloadIdentityPoolProviders'
  | 'getWorkloadIdentityPoolProvider'
  | 'createWorkloadIdentityPoolProvider'
  | 'updateWorkloadIdentityPoolProvider'
  | 'deleteWorkloadIdentityPoolProvider'
  | 'undeleteWorkloadIdentityPoolProvider'
>;
const NOUN = 'workload_identity_providers';
const AT = 'workload_identity_pool_provider';

export function providerMethods(store: Store): ProviderMethods {
  return {
    listWorkloadIdentityPoolProviders: {
      access: { checks: ({ parent }) => checkOn('pool', 'workloadIdentityPoolProviders.list', parent, 'parent') },
      async handle(request) {
        const page = await listPage(store.read, NOUN, { ...request, parent: await storedName(store.read, 'pool', request.parent, 'parent') });
        return { workloadIdentityPoolProviders: page.rows.map(providerFromRow), nextPageToken: page.nextPageToken };
      },
    },
    getWorkloadIdentityPoolProvider: {
      access: { checks: ({ name }) => checkOn('provider', 'workloadIdentityPoolProviders.get', name) },
      handle: async ({ name }) => providerFromRow(await getRow(store.read, NOUN, await storedName(store.read, 'provider', name))),
    },
    createWorkloadIdentityPoolProvider: {
      access: { checks: ({ parent }) => checkOn('pool', 'workloadIdentityPoolProviders.create', parent, 'parent') },
      async handle({ parent, workloadIdentityPoolProvider: given, workloadIdentityPoolProviderId: id }, call) {
        checkId('workload_identity_pool_provider_id', id);
        const provider = create(WorkloadIdentityPoolProviderSchema, given);
        checkProvider(provider, call);
        return store.write(async (tx) => {
          const pool = await getLivingRow(tx.db, 'workload_identity_pools', await storedName(tx.db, 'pool', parent, 'parent'));
          const row = toRow(`${pool.name}/providers/${id}`, pool.name, provider, call.now());
          await refuseTaken(tx.db, NOUN, row.name, call.now());
          await insertWorkloadIdentity(tx.db, NOUN, row);
          return changed(tx, row, call.now());
        });
      },
    },
    updateWorkloadIdentityPoolProvider: {
      access: { checks: (request) => checkOn('provider', 'workloadIdentityPoolProviders.update', request.workloadIdentityPoolProvider?.name ?? '', `${AT}.name`) },
      handle: ({ workloadIdentityPoolProvider: given, updateMask }, call) =>
        store.write(async (tx) => {
          const row = await getLivingRow(tx.db, NOUN, await storedName(tx.db, 'provider', given?.name ?? ''));
          const provider = masked(fromBinary(WorkloadIdentityPoolProviderSchema, row.body), create(WorkloadIdentityPoolProviderSchema, given), updateMask);
          checkProvider(provider, call);
          const next = { ...row, body: toBinary(WorkloadIdentityPoolProviderSchema, provider), etag: newEtag() };
          await updateWorkloadIdentity(tx.db, NOUN, row.name, { body: next.body, etag: next.etag });
          return changed(tx, next, call.now());
        }),
    },
    deleteWorkloadIdentityPoolProvider: {
      access: { checks: ({ name }) => checkOn('provider', 'workloadIdentityPoolProviders.delete', name) },
      handle: ({ name }, call) => markRow(store, 'provider', name, 'deleted', (tx, row) => changed(tx, row, call.now()), call.now()),
    },
    undeleteWorkloadIdentityPoolProvider: {
      access: { checks: ({ name }) => checkOn('provider', 'workloadIdentityPoolProviders.undelete', name) },
      handle: ({ name }, call) => markRow(store, 'provider', name, 'active', (tx, row) => changed(tx, row, call.now()), call.now()),
    },
  };
}

function changed(tx: Tx, row: WorkloadIdentityRow, now: Micros) {
  tx.touch('federation');
  return recordOperation(tx.db, row.name, WorkloadIdentityPoolProviderSchema, create(WorkloadIdentityPoolProviderSchema, providerFromRow(row)), now);
}

function toRow(name: string, parent: string, provider: WorkloadIdentityPoolProvider, now: Micros): WorkloadIdentityRow {
  const kept = create(WorkloadIdentityPoolProviderSchema, { ...provider, name: '', state: WorkloadIdentityPoolProvider_State.STATE_UNSPECIFIED });
  return { name, parent, body: toBinary(WorkloadIdentityPoolProviderSchema, kept), etag: newEtag(), create_time: now, delete_time: null };
}

function providerFromRow(row: WorkloadIdentityRow): MessageInitShape<typeof WorkloadIdentityPoolProviderSchema> {
  const life =
    row.delete_time === null
      ? { state: WorkloadIdentityPoolProvider_State.ACTIVE }
      : { state: WorkloadIdentityPoolProvider_State.DELETED, expireTime: toTimestamp(row.delete_time + KEPT_MICROS) };
  return { ...fromBinary(WorkloadIdentityPoolProviderSchema, row.body), name: row.name, ...life };
}

/** @throws INVALID_ARGUMENT */
function masked(current: WorkloadIdentityPoolProvider, given: WorkloadIdentityPoolProvider, mask: FieldMask | undefined): WorkloadIdentityPoolProvider {
  const next = { ...current };
  for (const path of requiredPaths(mask)) {
    if (path === 'display_name') next.displayName = given.displayName;
    else if (path === 'description') next.description = given.description;
    else if (path === 'disabled') next.disabled = given.disabled;
    else if (path === 'attribute_mapping') next.attributeMapping = given.attributeMapping;
    else if (path === 'attribute_condition') next.attributeCondition = given.attributeCondition;
    else if (/^(?:oidc|aws|saml)(?:$|\.)/.test(path)) next.providerConfig = maskedConfig(next.providerConfig, given.providerConfig, path);
    else
      throw invalidArgument(
        'update_mask',
        `${JSON.stringify(path)} cannot be changed. Known: display_name, description, disabled, attribute_mapping, attribute_condition, oidc, aws, saml.`,
      );
  }
  return next;
}

type Config = WorkloadIdentityPoolProvider['providerConfig'];

function maskedConfig(current: Config, given: Config, path: string): Config {
  const [kind = '', field] = path.split('.');
  if (given.case !== kind) throw invalidArgument(kind, 'is named by update_mask, but the request has none.');
  if (current.case !== given.case) throw invalidArgument('update_mask', `the provider is one of ${current.case ?? 'no kind'}, which cannot be changed to ${kind}.`);
  if (field === undefined) return given;
  if (current.case !== 'oidc' || given.case !== 'oidc') throw invalidArgument('update_mask', `${JSON.stringify(path)} cannot be changed alone. Name ${kind}.`);
  const { value } = current;
  if (field === 'issuer_uri') return { case: 'oidc', value: { ...value, issuerUri: given.value.issuerUri } };
  if (field === 'allowed_audiences') return { case: 'oidc', value: { ...value, allowedAudiences: given.value.allowedAudiences } };
  if (field === 'jwks_json') return { case: 'oidc', value: { ...value, jwksJson: given.value.jwksJson } };
  throw invalidArgument('update_mask', `${JSON.stringify(path)} is not a field. Known: oidc.issuer_uri, oidc.allowed_audiences, oidc.jwks_json.`);
}

/**
 * Limits: discovery document of IAM v1, `attributeMapping`, `attributeCondition`, `Oidc`.
 * Deviation: AWS and SAML providers are kept and shown, but their tokens are not exchanged; who makes one is told so.
 * @throws INVALID_ARGUMENT
 */
function checkProvider(provider: WorkloadIdentityPoolProvider, call: Call): void {
  checkTexts(AT, provider);
  const { providerConfig, attributeCondition } = provider;
  if (providerConfig.case === undefined) throw invalidArgument(AT, 'names no kind of provider: oidc, aws or saml.');
  checkMapping(provider.attributeMapping, providerConfig.case);
  if (attributeCondition !== '') {
    if (attributeCondition.length > 4096) throw invalidArgument(`${AT}.attribute_condition`, `must have at most 4096 characters, but has ${attributeCondition.length}.`);
    refuseExpression(`${AT}.attribute_condition`, compileAttributeCondition(attributeCondition));
  }
  if (providerConfig.case !== 'oidc') {
    call.warn(`The provider is kept, but tokens of ${providerConfig.case === 'aws' ? 'AWS' : 'SAML'} providers are not exchanged here: only those of OIDC providers are.`);
    return;
  }
  const { issuerUri, allowedAudiences, jwksJson } = providerConfig.value;
  checkIssuer(issuerUri);
  if (allowedAudiences.length > 10) throw invalidArgument(`${AT}.oidc.allowed_audiences`, `must have at most 10 entries, but has ${allowedAudiences.length}.`);
  for (const audience of allowedAudiences)
    if (audience === '' || audience.length > 256) throw invalidArgument(`${AT}.oidc.allowed_audiences`, `${JSON.stringify(audience.slice(0, 300))} must have 1 to 256 characters.`);
  const fault = jwksJson === '' ? undefined : faultOfJwks(jwksJson);
  if (fault !== undefined) throw invalidArgument(`${AT}.oidc.jwks_json`, fault);
}

function checkMapping(mapping: Readonly<Record<string, string>>, kind: string): void {
  const field = `${AT}.attribute_mapping`;
  const entries = Object.entries(mapping);
  if (mapping['google.subject'] === undefined && (kind === 'oidc' || entries.length > 0)) throw invalidArgument(field, 'must map google.subject, for example to assertion.sub.');
  if (entries.filter(([key]) => key.startsWith('attribute.')).length > 50) throw invalidArgument(field, 'must have at most 50 custom attributes.');
  for (const [key, expression] of entries) {
    if (key !== 'google.subject' && key !== 'google.groups' && !/^attribute\.[a-z0-9_]{1,100}$/.test(key))
      throw invalidArgument(
        field,
        `${JSON.stringify(key.slice(0, 200))} is no attribute. Write google.subject, google.groups or attribute.NAME with lowercase letters, digits and underscores.`,
      );
    if (expression.length > 2048) throw invalidArgument(field, `the expression of ${key} must have at most 2048 characters, but has ${expression.length}.`);
    refuseExpression(`${field}[${key}]`, compileMapping(key, expression));
  }
}

function refuseExpression(field: string, compiled: unknown): void {
  if (compiled instanceof CelIssue) throw invalidArgument(field, `is not a valid expression: ${compiled.message}.`);
}

/**
 * Google takes https alone. Whether a private address may be asked is for the server's configuration to say, when tokens are exchanged.
 * Deviation: an http issuer is kept as well, for issuers on the same machine; its keys are fetched only where `trustedIssuer` names it.
 */
function checkIssuer(url: string): void {
  const isUrl = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) && new URL(url).username === '' && url.length <= 2000;
  if (!isUrl) throw invalidArgument(`${AT}.oidc.issuer_uri`, `must be an https URL, but is ${JSON.stringify(url.slice(0, 300))}.`);
}
