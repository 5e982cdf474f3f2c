/** A secret of a seed, made or brought to what is declared, the way of every request. Loaded only for a seed that has one. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { create, type DescMessage, type DescMethod, fromJson, type JsonObject, type Message, type MessageShape } from '@bufbuild/protobuf';
import { invalidArgument, isApiError } from '../errors.ts';
import { type Secret, SecretSchema } from '../gen/google/cloud/secretmanager/v1/resources_pb.js';
import {
  AccessSecretVersionRequestSchema,
  AccessSecretVersionResponseSchema,
  AddSecretVersionRequestSchema,
  CreateSecretRequestSchema,
  GetSecretRequestSchema,
  SecretManagerService,
  UpdateSecretRequestSchema,
} from '../gen/google/cloud/secretmanager/v1/service_pb.js';
import type { SeedValue } from '../seed/seed.ts';
import type { Dispatch } from '../server/dispatch.ts';
import type { Api } from '../services/service.ts';

/** Where a payload may come from. */
export interface SeedSources {
  /** Of the seed: files are named from its folder. */
  readonly seedFile: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What a declaration changes of a secret that is there; where it is kept stays. */
const CHANGED = ['labels', 'annotations', 'topics', 'expireTime', 'rotation', 'versionDestroyTtl'] as const;

/** @param name with the project's id @param declared google.cloud.secretmanager.v1.Secret in JSON, without its name @throws ApiError */
export async function applySeedSecret(
  trusted: Dispatch,
  apis: readonly Api[],
  transport: Parameters<Dispatch['unary']>[3],
  secret: { readonly name: string; readonly declared: JsonObject; readonly value: SeedValue | undefined },
  sources: SeedSources,
): Promise<void> {
  const { name, declared, value } = secret;
  const data = value === undefined ? undefined : payloadOf(value, sources);
  const api = apis.find(({ services }) => services.some(({ typeName }) => typeName === SecretManagerService.typeName));
  const service = (await api?.load())?.find(({ desc }) => desc.typeName === SecretManagerService.typeName);
  if (service === undefined) throw new Error('the Secret Manager service is missing');
  const call = (method: DescMethod, request: Message) => trusted.unary(service, method, () => request, transport);
  const message = fromJson(SecretSchema, isRegional(name) || declared['replication'] !== undefined ? declared : { replication: { automatic: {} }, ...declared });
  const before = await unless(call(SecretManagerService.method.getSecret, create(GetSecretRequestSchema, { name })), SecretSchema, 'NOT_FOUND');
  const [parent = '', secretId = ''] = name.split('/secrets/');
  if (before === undefined) await call(SecretManagerService.method.createSecret, create(CreateSecretRequestSchema, { parent, secretId, secret: message }));
  else await update(call, before, { ...message, name }, declared);
  if (data === undefined) return;
  const latest = await unless(
    call(SecretManagerService.method.accessSecretVersion, create(AccessSecretVersionRequestSchema, { name: `${name}/versions/latest` })),
    AccessSecretVersionResponseSchema,
    'NOT_FOUND',
    'FAILED_PRECONDITION',
  );
  if (latest?.payload !== undefined && Buffer.from(latest.payload.data).equals(data)) return;
  await call(SecretManagerService.method.addSecretVersion, create(AddSecretVersionRequestSchema, { parent: name, payload: { data: new Uint8Array(data) } }));
}

function isRegional(name: string): boolean {
  return name.split('/')[2] === 'locations';
}

async function update(call: (method: DescMethod, request: Message) => Promise<Message>, before: Secret, secret: Secret, declared: JsonObject): Promise<void> {
  const paths = CHANGED.filter((field) => declared[field] !== undefined && JSON.stringify(plain(before, field)) !== JSON.stringify(plain(secret, field)));
  if (paths.length === 0) return;
  const updateMask = { paths: paths.map((path) => path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)) };
  await call(SecretManagerService.method.updateSecret, create(UpdateSecretRequestSchema, { secret, updateMask }));
}

/** Something that can be compared as JSON. */
function plain(secret: Secret, field: (typeof CHANGED)[number]): unknown {
  const value = field === 'expireTime' ? secret.expiration.value : secret[field];
  return JSON.parse(JSON.stringify(value ?? null, (_key, each: unknown) => (typeof each === 'bigint' ? String(each) : each)));
}

/** @returns undefined where the call failed with one of the statuses */
async function unless<D extends DescMessage>(call: Promise<Message>, schema: D, ...statuses: readonly string[]): Promise<MessageShape<D> | undefined> {
  try {
    const answer = await call;
    // What the method of the schema answers.
    return answer.$typeName === schema.typeName ? (answer as MessageShape<D>) : undefined;
  } catch (error) {
    if (isApiError(error) && statuses.includes(error.status)) return undefined;
    throw error;
  }
}

/** @throws INVALID_ARGUMENT that names the source, and nothing of what it holds */
function payloadOf(value: SeedValue, { seedFile, env }: SeedSources): Buffer {
  if ('env' in value) {
    const text = env[value.env];
    if (text === undefined || text === '') throw invalidArgument('valueFrom.env', `the environment variable ${value.env} is not set.`);
    return Buffer.from(text);
  }
  const file = resolve(dirname(seedFile), value.file);
  try {
    return readFileSync(file);
  } catch (error) {
    throw invalidArgument('valueFrom.file', `${file} cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'error'}).`);
  }
}
