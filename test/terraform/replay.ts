/** Sends what the provider sends, in its order, and holds the answers against those that it was content with. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultSeed } from '../../src/seed/seed.ts';
import type { Answer, TestServer } from '../harness/server.ts';
import { until } from '../harness/until.ts';

export const PLANS = join(import.meta.dirname, 'plans');
export const REQUESTS = join(import.meta.dirname, 'requests');

export interface Exchange {
  /** `recorded` of a real run, or `read` in the provider's source where no provider that can be had knows the type. */
  readonly from: 'recorded' | 'read';
  readonly method: string;
  /** `/HOST/PATH?QUERY` */
  readonly url: string;
  readonly body?: unknown;
  readonly status: number;
  /** What the answer must say, and may say more. `{{*}}` is any text; `{{etag:1}}` is any at first, and the same from then on, in requests too. */
  readonly answer: unknown;
  /** Fields that the answer must not have: the provider has no default for them, so that its next plan would take them away again. */
  readonly without?: readonly string[];
}

/** What the configurations find: the default seed, and a second project. */
export function replaySeed(): object {
  const seed = defaultSeed();
  return { ...seed, projects: [...seed.projects, { id: 'shared', number: '210987654321', parent: 'organizations/111111111111' }] };
}

/** Names of the files, without their ending. */
export function recordings(): string[] {
  const names = readdirSync(REQUESTS).map((name) => name.replace(/\.jsonl$/, ''));
  return names.toSorted();
}

export function readExchanges(name: string): readonly Exchange[] {
  const [, ...lines] = readFileSync(join(REQUESTS, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n');
  // Written by record.ts, or by hand in the same form.
  return lines.map((line) => JSON.parse(line) as Exchange);
}

/** @returns what differs, each with its request */
export async function replay(server: TestServer, exchanges: readonly Exchange[]): Promise<string[]> {
  const known = new Map<string, string>();
  const faults: string[] = [];
  for (const { method, url, body, status, answer, without = [] } of exchanges) {
    const sent = body === undefined ? undefined : fill(body, known);
    const send = () => server.call(method, String(fill(url, known)), sent);
    // It asks again until an operation is done.
    const got = isDone(answer) ? await waitFor(send) : await send();
    const where = `${method} ${url}`;
    if (got.status !== status) faults.push(`${where}: ${got.status} instead of ${status}: ${got.text}`);
    else faults.push(...differences(answer, got.json, known).map((fault) => `${where}: ${fault}`));
    for (const path of without) if (at(got.json, path) !== undefined) faults.push(`${where}: ${path} must be absent, but is ${JSON.stringify(at(got.json, path))}`);
  }
  return faults;
}

function isDone(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'done' in answer;
}

function waitFor(send: () => Promise<Answer>): Promise<Answer> {
  return until('the operation is done', async () => {
    const answer = await send();
    return (answer.status !== 200 || answer.json.done === true) && answer;
  });
}

function at(value: unknown, path: string): unknown {
  // What is read of an answer may be anything; a field of what has none is undefined.
  return path.split('.').reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
}

const PLACEHOLDER = /\{\{(\*|\w+:\d+)\}\}/;

function fill(value: unknown, known: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') return value.replace(new RegExp(PLACEHOLDER, 'g'), (all, name: string) => known.get(name) ?? all);
  if (Array.isArray(value)) return value.map((each: unknown) => fill(each, known));
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner, known)]));
  return value;
}

/** What `wanted` says must be so in `got`; lists are as long as each other. Learns placeholders. */
export function differences(wanted: unknown, got: unknown, known: Map<string, string>, path = ''): string[] {
  if (typeof wanted === 'string' && typeof got === 'string')
    return matches(wanted, got, known) ? [] : [`${path} is ${JSON.stringify(got)}, not ${JSON.stringify(fill(wanted, known))}`];
  if (Array.isArray(wanted)) {
    if (!Array.isArray(got) || got.length !== wanted.length) return [`${path} is ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`];
    return wanted.flatMap((each: unknown, i) => differences(each, got[i], known, `${path}[${i}]`));
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof got !== 'object' || got === null) return [`${path} is ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`];
    const record = new Map<string, unknown>(Object.entries(got));
    return Object.entries(wanted).flatMap(([key, inner]) => differences(inner, record.get(key), known, path === '' ? key : `${path}.${key}`));
  }
  return wanted === got ? [] : [`${path} is ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`];
}

function matches(wanted: string, got: string, known: Map<string, string>): boolean {
  const names: string[] = [];
  const literal = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = wanted
    .split(new RegExp(PLACEHOLDER, 'g'))
    .map((part, i) => {
      if (i % 2 === 0) return literal(part);
      const value = known.get(part);
      if (value !== undefined) return literal(value);
      names.push(part);
      return '(.+)';
    })
    .join('');
  const found = new RegExp(`^${pattern}$`, 's').exec(got);
  if (found === null) return false;
  for (const [i, name] of names.entries()) if (name !== '*') known.set(name, found[i + 1] ?? '');
  return true;
}
