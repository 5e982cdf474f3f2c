/**
 * Exports of Cloud Asset Inventory, as `actas import` makes them so. Their files are read once to learn what they name, and again for each kind of thing, so that an
 * export of any length goes through little memory; what comes through a pipe is kept in a file of its own meanwhile.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ACTAS, type Api } from '../api.ts';
import { failure } from '../failure.ts';
import type { Item } from '../import-changes.ts';
import type { Terminal } from '../terminal.ts';
import { isAsset, readAsset } from './asset.ts';
import { createIndex, PHASES, type Phase, phasesOf } from './asset-index.ts';
import { itemsOf } from './asset-items.ts';
import { createMembers } from './asset-members.ts';
import { createPlaces } from './asset-places.ts';
import { jsonObjects } from './json-stream.ts';

/** A file, and what messages call it. */
export interface Source {
  readonly file: string;
  readonly name: string;
}

/** @returns the text of stdin in a file that only its owner may read, and the way to remove it */
export async function spooled(stdin: NodeJS.ReadableStream): Promise<Source & { remove(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'actas-import-'));
  const file = join(directory, 'stdin');
  await pipeline(stdin, createWriteStream(file, { mode: 0o600 }));
  return { file, name: '-', remove: () => rm(directory, { recursive: true }) };
}

/** Whether a file is such an export: its first object is an asset. Anything that is no JSON is none. */
export async function isAssetFile({ file, name }: Source): Promise<boolean> {
  try {
    for await (const { value } of objects({ file, name })) return isAsset(value);
  } catch {
    // What it is instead is for who reads it next, with an error of its own.
  }
  return false;
}

function objects({ file, name }: Source) {
  return jsonObjects(createReadStream(file, { encoding: 'utf8' }), name);
}

export interface AssetImport {
  /** Everything but organization policies, which could forbid the rest. */
  items(): AsyncGenerator<Item>;
  lastItems(): AsyncGenerator<Item>;
  /** Says what was left out, with how many of each. To be called at the end. */
  tell(): void;
}

interface ImportOptions {
  /** What the export's project is where it is named by number alone. */
  readonly project: string | undefined;
  readonly terminal: Terminal;
  numberOf(project: string): Promise<string>;
}

/** Reads all of it once. @throws failure for the first thing that is broken */
export async function importAssets(api: Api, sources: readonly Source[], { project, terminal, numberOf }: ImportOptions): Promise<AssetImport> {
  const { index, add } = createIndex();
  for (const source of sources)
    for await (const { value, line } of objects(source)) {
      if (!isAsset(value)) throw failure(`${source.name}, line ${line}: this has no asset type, and is no asset as those before it.`);
      add(readAsset(value));
    }
  const leftOut = new Map(index.leftOut);
  const leaveOut = (why: string) => void leftOut.set(why, (leftOut.get(why) ?? 0) + 1);
  const places = createPlaces(api, index, project, (text) => terminal.note(text));
  const { principal: caller } = await api.get<{ readonly principal?: string }>(ACTAS, 'status');
  if (caller !== undefined && index.phases.has('policies')) terminal.note(`What ${caller} holds on projects, folders and organizations stays.`);
  const context = { api, index, places, caller, numberOf, leaveOut, members: createMembers(api, index, places, leaveOut) };

  async function* itemsOfPhase(phase: Phase): AsyncGenerator<Item> {
    if (!index.phases.has(phase)) return;
    for (const source of sources)
      for await (const { value, line } of objects(source)) {
        const asset = readAsset(value);
        if (phasesOf(asset).includes(phase)) yield* await itemsOf(asset, phase, `${source.name}, line ${line}`, context);
      }
  }

  return {
    async *items() {
      yield* places.items();
      for (const phase of PHASES) if (phase !== 'orgPolicies') yield* itemsOfPhase(phase);
    },
    lastItems: () => itemsOfPhase('orgPolicies'),
    tell() {
      const sorted = [...leftOut].toSorted(([, a], [, b]) => b - a);
      for (const [why, count] of sorted.slice(0, MOST_REASONS)) terminal.warn(`Left out: ${count} x ${why}.`);
      const rest = sorted.slice(MOST_REASONS);
      if (rest.length > 0) terminal.warn(`Left out: ${rest.reduce((sum, [, count]) => sum + count, 0)} more, of ${rest.length} other kinds.`);
    },
  };
}

/** Lines of what was left out; what is beyond is counted. */
const MOST_REASONS = 50;
