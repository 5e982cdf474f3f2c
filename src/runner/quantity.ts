/** Kubernetes quantities (`1000m`, `0.5`, `512Mi`, `2G`), as container limits are written. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};
const QUANTITY = /^(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i))?$/;

/** @returns the number that a quantity stands for, or undefined where it is none */
export function parseQuantity(text: string): number | undefined {
  const match = QUANTITY.exec(text.trim());
  if (match === null) return undefined;
  const [, digits = '', exponent = '', suffix = ''] = match;
  const value = Number(digits + exponent) * (SUFFIXES[suffix] ?? 1);
  return Number.isFinite(value) ? value : undefined;
}

/** Thousandths of a CPU, at least one. */
export function parseCpuMillis(text: string): number | undefined {
  const value = parseQuantity(text);
  return value === undefined ? undefined : Math.max(1, Math.round(value * 1000));
}

export function parseBytes(text: string): number | undefined {
  const value = parseQuantity(text);
  return value === undefined ? undefined : Math.ceil(value);
}
