/** Prometheus metrics of the API. The library that counts is loaded by the first call that is counted, so that the start does not wait for it. */
import type { AuditEntry } from './dispatch.ts';

export interface Metrics {
  observe(entry: AuditEntry): void;
  /** A number that is read when metrics are asked for. */
  gauge(name: string, help: string, read: () => number): void;
  text(): Promise<string>;
}

export function createMetrics(): Metrics {
  let waiting: ((registry: Metrics) => void)[] = [];
  let loaded: Metrics | undefined;
  let loading: Promise<Metrics> | undefined;
  const load = (): Promise<Metrics> =>
    (loading ??= import('./metrics-registry.ts').then(({ createRegistry }) => {
      const registry = createRegistry();
      for (const step of waiting) step(registry);
      waiting = [];
      return (loaded = registry);
    }));
  const tell = (step: (registry: Metrics) => void): void => {
    if (loaded === undefined) waiting.push(step);
    else step(loaded);
  };
  return {
    observe(entry) {
      tell((registry) => registry.observe(entry));
      if (loading === undefined) void load();
    },
    gauge: (name, help, read) => tell((registry) => registry.gauge(name, help, read)),
    text: async () => (await load()).text(),
  };
}
