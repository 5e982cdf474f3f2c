/**
 * One container engine for the whole test run. Vitest calls the default export once (`globalSetup`), which finds a running engine or
 * starts one of ours, and stops that at the end; test files ask through `describeWithEngine`, and are skipped by name where none can be had.
 */
import { describe, inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { ensureEngine } from '../../scripts/engine.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    engine: { readonly dockerHost?: string; readonly reason?: string };
  }
}

/** The run's engine, or why there is none. */
export function testEngine(): { readonly dockerHost?: string; readonly reason?: string } {
  // Without the global setup (a single file run by hand) the environment may still name an engine. The types say "always"; a run without the setup says otherwise.
  const provided: { readonly dockerHost?: string; readonly reason?: string } | undefined = inject('engine');
  if (provided !== undefined) return provided;
  const dockerHost = process.env['DOCKER_HOST'];
  return dockerHost === undefined ? { reason: 'no globalSetup, no DOCKER_HOST' } : { dockerHost };
}

/** A `describe` for tests that need real containers. @param define gets the engine's address, `unix:///...` */
export function describeWithEngine(name: string, define: (dockerHost: string) => void): void {
  const { dockerHost, reason } = testEngine();
  if (dockerHost === undefined) describe.skip(`${name} (no container engine: ${reason})`, () => define('unix:///nowhere'));
  else describe(name, () => define(dockerHost));
}

/** Vitest's globalSetup. It installs nothing: `npm test` has done that before, a single test file run by hand should not. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  try {
    const engine = await ensureEngine({ install: false });
    project.provide('engine', { dockerHost: engine.dockerHost });
    return () => engine.stop();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    project.provide('engine', { reason });
    process.stderr.write(`Tests with real containers are skipped. ${reason}\n`);
    return async () => {};
  }
}
