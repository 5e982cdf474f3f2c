/** A task's access token from the metadata server: one that it has had before, and one that is made for the question. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inTurn, measureCount, measureLoad } from './load.ts';
import { measureCommits } from './plain-sqlite.ts';
import { startScript } from './process.ts';
import type { Figure } from './run.ts';

const PATH = '/computeMetadata/v1/instance/service-accounts/default/token';
const HEADERS = { 'Metadata-Flavor': 'Google' };
/** Different tokens that one account may have in an hour, and accounts: enough for the rounds, each token asked for once. */
const SCOPES = 60;
const ROUND = 1500;
const ROUNDS = 3;

export async function metadataToken(): Promise<readonly Figure[]> {
  return [await cached(), await minted()];
}

async function cached(): Promise<Figure> {
  const metadata = await startScript('metadata-server.ts', ['0']);
  const url = `http://127.0.0.1:${metadata.port}${PATH}`;
  const answer = await fetch(url, { headers: HEADERS });
  const body = await answer.text();
  if (!body.includes('access_token')) throw new Error(`the metadata server answered ${answer.status}: ${body}`);
  const plain = await startScript('plain-http.ts', [Buffer.from(body).toString('base64')]);
  const load = { headers: HEADERS, concurrency: 16, seconds: 3 };
  const result = await inTurn(
    () => measureLoad({ ...load, url }),
    () => measureLoad({ ...load, url: `http://127.0.0.1:${plain.port}/` }),
  );
  await plain.end();
  await metadata.end();
  return {
    name: 'metadata-token',
    what: 'an access token that the task has had before, and a bare node:http server that answers the same bytes',
    unit: 'answers/s',
    goal: { atLeast: 0.3 },
    ...result,
  };
}

async function minted(): Promise<Figure> {
  const metadata = await startScript('metadata-server.ts', [String(Math.ceil((ROUND * ROUNDS) / SCOPES))]);
  const dir = mkdtempSync(join(tmpdir(), 'actas-bench-sqlite-'));
  let n = 0;
  const nth = () => {
    const at = n++;
    return { path: `${PATH}?scopes=https://www.googleapis.com/auth/bench-${at % SCOPES}`, headers: { host: `task-${Math.floor(at / SCOPES)}` } };
  };
  const result = await inTurn(
    () => measureCount({ url: `http://127.0.0.1:${metadata.port}`, headers: HEADERS, nth, concurrency: 16 }, ROUND),
    () => Promise.resolve(measureCommits(join(dir, 'plain.sqlite'), 256, 2, 'FULL')),
    ROUNDS,
  );
  await metadata.end();
  rmSync(dir, { recursive: true, force: true });
  return {
    name: 'metadata-mint',
    what: 'an access token that is made for the question and stored, and bare node:sqlite commits of one row of 256 bytes',
    unit: '1/s',
    note: 'synchronous=FULL on both sides',
    ...result,
  };
}
