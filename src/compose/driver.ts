import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Driver } from '../runner/driver.ts';
import { createFakeDriver } from '../runner/fake/driver.ts';
import type { Seed } from '../seed/seed.ts';
import type { Log } from '../services/service.ts';

export async function createDriver(config: Config, instanceId: string, seed: Seed | undefined, log: Log, environment: NodeJS.ProcessEnv): Promise<Driver> {
  if (config.driver === 'fake') return createFakeDriver({ countsStarts: false, stateDir: join(config.dataDir, 'fake') });
  // Loaded when it is wanted: the engine's client is a third of all that this program loads.
  const { createDockerDriver } = await import('../runner/docker/driver.ts');
  return createDockerDriver({
    dataDirId: instanceId,
    environment,
    images: { ...seed?.images, ...config.images },
    log,
    ...(config.relayImage === undefined ? {} : { relayImage: config.relayImage }),
    nameServers: config.taskNameServer,
    ...(config.taskNetwork === 'auto' ? {} : { forceNetwork: config.taskNetwork }),
  });
}
