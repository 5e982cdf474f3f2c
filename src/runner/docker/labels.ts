/** How our objects are named and labelled on the engine, so that they are found again, and other people's are never touched. */
import { createHash } from 'node:crypto';
import type { AttemptId } from '../driver.ts';

/** The data directory that owns the object; everything we create carries it. */
export const LABEL_OWNER = 'actas.data-dir';
export const LABEL_ATTEMPT = 'actas.attempt';
/** The container's name in its attempt; absent on the sandbox. */
export const LABEL_CONTAINER = 'actas.container';
/** On the sandbox: the containers that the attempt is to have, so that a restarted control plane can go on. */
export const LABEL_PLAN = 'actas.plan';
/** On an image that was made for tasks: whose it is, of which image, and by which authority and way of making. Its containers inherit them. */
export const LABEL_TRUST_OWNER = 'actas.trust-owner';
export const LABEL_TRUST_OF = 'actas.trust-of';
export const LABEL_TRUST = 'actas.trust';

/** What tells the objects of one data directory from another's in names, which are short: 32 bits of its id. */
export function scopeOf(dataDirId: string): string {
  return createHash('sha256').update(dataDirId).digest('hex').slice(0, 8);
}

/** An attempt of one container is that container; `.` and `_` occur in no attempt id and no container name. */
export function containerName(scope: string, attempt: AttemptId, container?: string): string {
  return `actas-${scope}-${attempt}${container === undefined ? '' : `.${container}`}`;
}

export function sandboxName(scope: string, attempt: AttemptId): string {
  return `actas-${scope}-${attempt}_sandbox`;
}

/** What keeps the bridge on engines that would remove it with the last task. */
export function anchorName(scope: string): string {
  return `actas-${scope}_anchor`;
}

/** What carries connections where we have no part in the engine's network. */
export function relayName(scope: string): string {
  return `actas-${scope}_relay`;
}

export function volumeName(scope: string, attempt: AttemptId, volume: string): string {
  return `actas-${scope}-${attempt}.${volume}`;
}

/** Also the name of the Linux bridge, which may have 15 characters. */
export function networkName(scope: string): string {
  return `actas-${scope}`;
}

/** A container that never runs: an image is made of it. @param image its id */
export function trustName(scope: string, image: string): string {
  return `actas-${scope}_trust-${image.replace(/^sha256:/, '').slice(0, 12)}`;
}
