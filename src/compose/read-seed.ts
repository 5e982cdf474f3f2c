/** What a start has to apply: the seed of the configuration, and whether the data directory is new. Applying it is in `seed-on-start.ts`. */
import { readFileSync } from 'node:fs';
import type { Config } from '../config.ts';
import type { Seed } from '../seed/seed.ts';
import type { Store } from '../store/database.ts';
import { listOrganizations } from '../store/organizations.ts';
import { listProjects } from '../store/projects.ts';

/** @throws SeedError */
export async function readSeed(config: Config): Promise<Seed | undefined> {
  if (config.seed === undefined) return undefined;
  const { parseSeed, SeedError } = await import('../seed/seed.ts');
  try {
    return parseSeed(readFileSync(config.seed, 'utf8'), config.seed);
  } catch (error) {
    if (error instanceof SeedError) throw error;
    throw new Error(`The seed ${config.seed} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Whether nothing was ever made in it. */
export async function isNewStore({ read }: Store): Promise<boolean> {
  return (await listOrganizations(read, { limit: 1 })).length === 0 && (await listProjects(read, { limit: 1 })).length === 0;
}
