import type { Runner } from '../runner/loop.ts';
import type { Metrics } from '../server/metrics.ts';
import type { LogStore } from '../store/log-store.ts';

/** What is measured beside the calls. */
export function measureRunner(metrics: Metrics, runner: Runner, logs: LogStore): void {
  metrics.gauge('actas_attempts_running', 'Attempts of tasks that are alive.', () => runner.status().attempts);
  metrics.gauge('actas_executions_open', 'Executions that this control plane drives.', () => runner.status().executions);
  metrics.gauge('actas_attempts_started_total', 'Attempts started since the start.', () => runner.status().counters.attemptsStarted);
  metrics.gauge('actas_engine_available', '1 while the container engine can be reached.', () => Number(runner.status().available));
  metrics.gauge('actas_audit_dropped_total', 'Audit entries that could not be kept.', () => logs.stats().auditDropped);
}
