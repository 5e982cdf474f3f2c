/** What the containers of a task may use: the declared limits, and what of them this host can give. */
import type { Container } from '../gen/google/cloud/run/v2/k8s.min_pb.js';
import { parseBytes, parseCpuMillis } from '../quantity.ts';

export interface Resources {
  readonly cpuMillis: number;
  readonly memoryBytes: number;
}

export interface Fit {
  /** By container, in order. */
  readonly given: readonly Resources[];
  /** A sentence for each limit that is more than the host has; empty when all fits. */
  readonly shortfalls: readonly string[];
}

/** Where a job says nothing (its handlers always do): Cloud Run's own defaults. */
const DEFAULTS: Resources = { cpuMillis: 1000, memoryBytes: 512 * 2 ** 20 };

/** @param host what one attempt can be given; where its containers want more together, each gets the same share of its own wish */
export function fitResources(containers: readonly Container[], host: Resources): Fit {
  const wanted = containers.map((container) => declaredResources(container));
  const cpu = wanted.reduce((sum, each) => sum + each.cpuMillis, 0);
  const memory = wanted.reduce((sum, each) => sum + each.memoryBytes, 0);
  const cpuShare = Math.min(1, host.cpuMillis / cpu);
  const memoryShare = Math.min(1, host.memoryBytes / memory);
  const shortfalls: string[] = [];
  if (cpuShare < 1) shortfalls.push(`A task declares ${cpu / 1000} CPU, but this host gives at most ${host.cpuMillis / 1000}.`);
  if (memoryShare < 1) shortfalls.push(`A task declares ${mebibytes(memory)} MiB of memory, but this host gives at most ${mebibytes(host.memoryBytes)} MiB.`);
  return { given: wanted.map((each) => ({ cpuMillis: Math.max(1, Math.floor(each.cpuMillis * cpuShare)), memoryBytes: Math.floor(each.memoryBytes * memoryShare) })), shortfalls };
}

function declaredResources(container: Container): Resources {
  const limits = container.resources?.limits ?? {};
  return { cpuMillis: parseCpuMillis(limits['cpu'] ?? '') ?? DEFAULTS.cpuMillis, memoryBytes: parseBytes(limits['memory'] ?? '') ?? DEFAULTS.memoryBytes };
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
