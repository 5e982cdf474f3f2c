/** States from files: a seed so far. */
import { parseSeed } from '../seed/seed.ts';
import { stateOfSeed } from './seed-state.ts';
import type { PolicyState } from './state.ts';

/** @param file for messages @throws SeedError, StateError */
export async function readSeedState(text: string, file: string): Promise<PolicyState> {
  return stateOfSeed(parseSeed(text, file));
}
