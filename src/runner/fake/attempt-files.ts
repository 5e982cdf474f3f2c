/** Keeps fake attempts over a restart: one JSON file for each. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptId } from '../driver.ts';
import type { FakeAttempt } from './driver.ts';

export interface AttemptFiles {
  readAll(): readonly FakeAttempt[];
  write(attempt: FakeAttempt): void;
  remove(id: AttemptId): void;
}

export function createAttemptFiles(dir: string): AttemptFiles {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = (id: AttemptId) => join(dir, `${id}.json`);
  return {
    readAll: () =>
      readdirSync(dir)
        .filter((name) => name.endsWith('.json'))
        .map((name) => revive(readFileSync(join(dir, name), 'utf8'))),
    write(attempt) {
      // Renamed into place, so that a kill leaves the old state or the new one.
      writeFileSync(`${path(attempt.id)}.new`, JSON.stringify(attempt), { mode: 0o600 });
      renameSync(`${path(attempt.id)}.new`, path(attempt.id));
    },
    remove: (id) => rmSync(path(id), { force: true }),
  };
}

function revive(text: string): FakeAttempt {
  // Only `write` above makes these files.
  const attempt = JSON.parse(text) as FakeAttempt;
  // JSON has no Infinity: it was written as null.
  return { ...attempt, behaviour: { ...attempt.behaviour, durationMs: attempt.behaviour.durationMs ?? Number.POSITIVE_INFINITY } };
}
