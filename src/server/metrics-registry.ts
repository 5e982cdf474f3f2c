/** The registry behind `/metrics`. Labels are few and bounded: methods come from descriptors, never from a caller. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Metrics } from './metrics.ts';

export function createRegistry(): Metrics {
  const registry = new Registry();
  const requests = new Counter({ name: 'actas_requests_total', help: 'API calls by method, status and door.', labelNames: ['method', 'status', 'door'], registers: [registry] });
  const latency = new Histogram({
    name: 'actas_request_duration_seconds',
    help: 'Time from the headers of a request to its answer.',
    labelNames: ['method'],
    buckets: [0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [registry],
  });
  return {
    observe(entry) {
      requests.inc({ method: entry.method, status: entry.status, door: entry.door });
      latency.observe({ method: entry.method }, entry.latencyMs / 1000);
    },
    gauge(name, help, read) {
      const gauge: Gauge = new Gauge({ name, help, registers: [registry], collect: () => gauge.set(read()) });
    },
    text: () => registry.metrics(),
  };
}
