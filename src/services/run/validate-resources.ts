/** CPU, memory and GPU of containers: the values and pairs that a job can have. Source: configuring/jobs/cpu, quotas. */
import { invalidArgument } from '../../errors.ts';
import type { Container } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { parseBytes, parseCpuMillis } from '../../quantity.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** By thousandths of a CPU, the memory that goes with it. */
const MEMORY_FOR_CPU: ReadonlyMap<number, readonly [least: number, most: number]> = new Map([
  [1000, [512 * MIB, 4 * GIB]],
  [2000, [512 * MIB, 8 * GIB]],
  [4000, [2 * GIB, 16 * GIB]],
  [6000, [4 * GIB, 24 * GIB]],
  [8000, [4 * GIB, 32 * GIB]],
]);
const LEAST_CPU_MILLIS = 80;
/** Jobs run in the second generation environment with CPU always allocated, which has this floor (recorded). */
const LEAST_TOTAL_MEMORY = 512 * MIB;
const KEYS = ['cpu', 'memory', 'nvidia.com/gpu'];

/** @param containers with their defaults filled in; @param hasAccelerator whether the template's node selector names one */
export function validateResources(containers: readonly Container[], hasAccelerator: boolean): void {
  let totalMemory = 0;
  let totalCpu = 0;
  for (const [index, container] of containers.entries()) {
    const path = `template.template.containers[${index}].limits`;
    const limits = container.resources?.limits ?? {};
    for (const key of Object.keys(limits)) if (!KEYS.includes(key)) throw invalidArgument(path, `'${key}' is not supported. Only cpu, memory and nvidia.com/gpu are.`);
    const gpu = limits['nvidia.com/gpu'];
    if (gpu !== undefined && gpu !== '1') throw invalidArgument(`${path}.nvidia.com/gpu`, `Invalid value specified for nvidia.com/gpu. The only supported value is '1'.`);
    if (gpu !== undefined && !hasAccelerator) throw invalidArgument('template.template.node_selector', 'A GPU needs node_selector.accelerator to name its type.');
    const cpuMillis = cpuOf(limits['cpu'] ?? '', path, containers.length > 1);
    const bytes = parseBytes(limits['memory'] ?? '');
    if (bytes === undefined || bytes === 0) throw invalidArgument(`${path}.memory`, `Invalid value specified for memory. '${limits['memory'] ?? ''}' is not a size such as 512Mi.`);
    refusePair(cpuMillis, bytes, path, containers.length > 1);
    totalCpu += cpuMillis;
    totalMemory += bytes;
  }
  const memoryPath = 'template.template.containers[0].limits.memory';
  if (totalMemory < LEAST_TOTAL_MEMORY)
    throw invalidArgument(
      memoryPath,
      'Invalid value specified for memory.\nTotal memory < 512 Mi is not supported with gen2 execution environment with cpu always allocated (unthrottled).',
    );
  if (totalMemory > 32 * GIB) throw invalidArgument(memoryPath, 'Invalid value specified for memory. Total memory of all containers must be at most 32Gi.');
  if (totalCpu > 8000) throw invalidArgument('template.template.containers[0].limits.cpu', 'Invalid value specified for cpu. Total cpu of all containers must be at most 8.');
}

function cpuOf(text: string, path: string, isOneOfSeveral: boolean): number {
  const millis = parseCpuMillis(text);
  const isFraction = millis !== undefined && millis >= LEAST_CPU_MILLIS && millis < 1000;
  if (millis === undefined || (!isFraction && !MEMORY_FOR_CPU.has(millis)))
    throw invalidArgument(`${path}.cpu`, 'Invalid value specified for cpu. Must be equal to one of [.08-1], 1.0, 2.0, 4.0, 6.0 or 8.0');
  if (isFraction && !isOneOfSeveral) throw invalidArgument(`${path}.cpu`, 'Invalid value specified for cpu. Total cpu < 1 is not supported with gen2 execution environment.');
  return millis;
}

function refusePair(cpuMillis: number, bytes: number, path: string, isOneOfSeveral: boolean): void {
  const range = MEMORY_FOR_CPU.get(cpuMillis);
  const most = range?.[1] ?? (cpuMillis < 500 ? 512 * MIB : GIB);
  // The floors of the table hold for the whole task; among several containers one may have less, and the total is checked by the caller.
  const least = isOneOfSeveral ? 1 : (range?.[0] ?? 1);
  // A single container below 512 MiB gets the recorded sentence instead.
  const isBelow = bytes < least && least > LEAST_TOTAL_MEMORY;
  if (isBelow || bytes > most)
    throw invalidArgument(
      `${path}.memory`,
      `Invalid value specified for memory. For ${decimal(cpuMillis / 1000)} CPU, memory must be between ${inUnits(least === 1 ? MIB : least)} and ${inUnits(most)} inclusive.`,
    );
}

/** As the old text has it: `1.0`, `0.5`. */
function decimal(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

function inUnits(bytes: number): string {
  return bytes >= GIB ? `${bytes / GIB}Gi` : `${bytes / MIB}Mi`;
}
