/** What the commands about secrets share: names, flags, shapes, payloads. */
import { Option } from 'commander';
import { crc32c } from '../../crc32c.ts';
import { type Api, SECRETS } from '../api.ts';
import type { CliCommand } from '../command.ts';
import { failure, usageFailure } from '../failure.ts';
import { readBytes } from '../private-file.ts';
import type { Session } from '../session.ts';

/** google.cloud.secretmanager.v1.Secret as JSON. */
export interface Secret {
  readonly name?: string;
  readonly createTime?: string;
  readonly replication?: {
    readonly automatic?: object;
    readonly userManaged?: { readonly replicas?: readonly { readonly location?: string }[] };
  };
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly versionAliases?: Readonly<Record<string, string>>;
  readonly topics?: readonly { readonly name?: string }[];
}
/** google.cloud.secretmanager.v1.SecretVersion as JSON. */
export interface Version {
  readonly name?: string;
  readonly state?: string;
  readonly createTime?: string;
  readonly destroyTime?: string;
  readonly scheduledDestroyTime?: string;
}

export interface LocationFlags {
  /** Undefined: global. */
  readonly location?: string;
}

export function withLocation(command: CliCommand): CliCommand {
  return command.addOption(new Option('--location <region>', 'the region of a regional secret (default: a global one)'));
}

export function withDataFile(command: CliCommand): CliCommand {
  return command.option('--data-file <file>', 'the file that holds the payload; - reads it from stdin');
}

/** @returns `projects/P` or `projects/P/locations/L` */
export async function secretParent(session: Session<LocationFlags>): Promise<string> {
  const project = await session.project();
  const { location } = session.flags;
  return location === undefined ? `projects/${project}` : `projects/${project}/locations/${location}`;
}

/** @param given an id or a full name */
export async function secretName(session: Session<LocationFlags>, given: string): Promise<string> {
  if (/^projects\/[^/]+\/(?:locations\/[^/]+\/)?secrets\/[^/]+$/.test(given)) {
    await session.project();
    return given;
  }
  if (given.includes('/')) throw usageFailure(`'${given}' is not a secret.`, 'Write its id, or projects/PROJECT/secrets/ID.');
  return `${await secretParent(session)}/secrets/${given}`;
}

export const idOf = ({ name }: { readonly name?: string }): string => name?.split('/').at(-1) ?? '';
/** `2026-11-24T18:56:30`, as gcloud shows it, or an empty text. */
export const shortTime = (time: string | undefined): string => time?.slice(0, 19) ?? '';

/** @param file undefined: there is no payload @throws CliFailure for a flag without a value */
export async function readPayload(session: Session, file: string | undefined): Promise<Uint8Array | undefined> {
  if (file === undefined) return undefined;
  if (file === '') throw usageFailure('The value of --data-file is empty.', 'A variable may not be set. Leave the flag out where there is no payload.');
  if (file !== '-') return readBytes(file, 'payload');
  const parts: Uint8Array[] = [];
  for await (const part of session.io.stdin) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

/** With its checksum, so that what arrives is what was sent. */
export async function addVersion(api: Api, secret: string, data: Uint8Array): Promise<Version> {
  return api.send<Version>('POST', SECRETS, `${secret}:addVersion`, { payload: { data: Buffer.from(data).toString('base64'), dataCrc32c: String(crc32c(data)) } });
}

/** @throws CliFailure where what arrived is not what was sent */
export function checkedData(payload: { readonly data?: string; readonly dataCrc32c?: string } | undefined): Buffer {
  const data = Buffer.from(payload?.data ?? '', 'base64');
  if (payload?.dataCrc32c !== undefined && payload.dataCrc32c !== String(crc32c(data))) throw failure('The payload was changed on its way: its checksum differs. Try again.');
  return data;
}
