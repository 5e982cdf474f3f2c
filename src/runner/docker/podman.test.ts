/** The same engine tests on Podman: on the one that DOCKER_HOST names where that is Podman, else on one that is started for this file. */
import { afterAll, describe } from 'vitest';
import { startPodman } from '../../../scripts/podman.mjs';
import { containersContract } from './containers-contract.ts';
import { engineContract } from './engine-contract.ts';
import { googleNamesContract } from './google-names-contract.ts';
import { isolationContract } from './isolation-contract.ts';

const named = process.env['DOCKER_HOST'];
const podman = named?.includes('podman') === true ? { dockerHost: named, stop: async () => undefined } : await startPodman().catch((error: Error) => error.message);

if (typeof podman === 'string') {
  // Defined all the same, so that each case is reported as skipped by its name.
  describe.skip(`Podman (not here: ${podman})`, () => define('unix:///nowhere'));
} else {
  afterAll(() => podman.stop());
  describe('Podman', () => define(podman.dockerHost));
}

function define(dockerHost: string): void {
  engineContract(dockerHost);
  describe('containers of attempts', () => containersContract(dockerHost));
  describe("the tasks' network", () => isolationContract(dockerHost));
  describe("Google's names in tasks", () => googleNamesContract(dockerHost));
}
