/**
 * The annotations and labels in which v1 says what v2 has fields for, and the few that the server writes. Everything else that a caller
 * writes is kept as it is; what is in a namespace of the platform and means nothing here is refused, for it would be lost in silence.
 * Source: discovery document of run v1, `ObjectMeta.annotations`; the annotations of answers are recorded.
 */
import { invalidArgument } from '../../../errors.ts';

export const PREFIX = 'run.googleapis.com/';
export const LOCATION_LABEL = 'cloud.googleapis.com/location';
export const UPDATED_LABEL = `${PREFIX}lastUpdatedTime`;

/** Written by the server; what a caller sends back of them is dropped. */
const OF_SERVER: ReadonlySet<string> = new Set([`${PREFIX}creator`, `${PREFIX}lastModifier`, `${PREFIX}operation-id`, LOCATION_LABEL, UPDATED_LABEL, `${PREFIX}satisfiesPzs`]);
const RESERVED = /^(?:run\.googleapis\.com|cloud\.googleapis\.com|serving\.knative\.dev|autoscaling\.knative\.dev)\//;

export type Pairs = { [key: string]: string };

/** Takes the annotations of one object apart. */
export interface Annotations {
  /** The value of one of the platform's own, each asked for once; the short name without its prefix. */
  take(short: string): string | undefined;
  /** What is left. @throws INVALID_ARGUMENT for one of the platform's that was not asked for */
  rest(): Pairs;
}

/** @param kind as the error names it @param path for the error, `metadata.annotations` */
export function readAnnotations(all: Readonly<Pairs>, kind: 'Job' | 'Execution', path: string): Annotations {
  const left = new Map(Object.entries(all).filter(([key]) => !OF_SERVER.has(key)));
  return {
    take(short) {
      const value = left.get(PREFIX + short);
      left.delete(PREFIX + short);
      return value;
    },
    rest() {
      for (const [key, value] of left)
        if (RESERVED.test(key)) throw invalidArgument(path, `Annotation '${key}' with value '${value.slice(0, 200)}' is not supported on resources of kind ${kind}.`);
      return Object.fromEntries(left);
    },
  };
}

/** Labels of callers: without those of the server. @throws INVALID_ARGUMENT for one in the platform's namespaces */
export function callersLabels(labels: Readonly<Pairs>, path: string): Pairs {
  const kept = Object.entries(labels).filter(([key]) => !OF_SERVER.has(key));
  for (const [key] of kept) if (RESERVED.test(key)) throw invalidArgument(path, `Label '${key}' is in a namespace of the platform, and cannot be set.`);
  return Object.fromEntries(kept);
}

/** Those that are not undefined and not empty, under the platform's prefix. */
export function platformAnnotations(values: Readonly<Record<string, string | undefined>>): Pairs {
  return Object.fromEntries(Object.entries(values).flatMap(([short, value]) => (value === undefined || value === '' ? [] : [[PREFIX + short, value]])));
}
