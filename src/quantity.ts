/** Kubernetes quantities (`1000m`, `0.5`, `512Mi`, `2G`), as the limits of containers and volumes are written. */

const FACTORS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ...['k', 'M', 'G', 'T', 'P'].map((suffix, index): [string, number] => [suffix, 1000 ** (index + 1)]),
  ...['Ki', 'Mi', 'Gi', 'Ti', 'Pi'].map((suffix, index): [string, number] => [suffix, 1024 ** (index + 1)]),
]);

/** @returns whole thousandths of a CPU; undefined where the text is no such quantity (finer than a thousandth included) */
export function parseCpuMillis(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(m?)$/.exec(text);
  if (match === null) return undefined;
  const millis = Number(match[1]) * (match[2] === 'm' ? 1 : 1000);
  const whole = Math.round(millis);
  return Math.abs(millis - whole) < 1e-6 ? whole : undefined;
}

/** @returns bytes, rounded down; undefined where the text is no such quantity */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,18}(?:\.\d{1,9})?|\.\d{1,9})([kMGTP]|[KMGTP]i)?$/.exec(text);
  const factor = FACTORS.get(match?.[2] ?? '');
  return match === null || factor === undefined ? undefined : Math.floor(Number(match[1]) * factor);
}
