/** Stands between terraform and the control plane, and keeps what was said; written down without what every run makes anew. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Exchange, PLANS, REQUESTS } from './replay.ts';

export interface Recorder {
  readonly url: string;
  readonly exchanges: readonly Exchange[];
  close(): Promise<void>;
}

/** The provider says the version of an endpoint in the clear twice; Google gets it once. */
const TWICE = /^(\/[^/]+\/(v\d\w*))\/\2(?=\/)/;

/** @param to the control plane, in the clear */
export async function startRecorder(to: string): Promise<Recorder> {
  const exchanges: Exchange[] = [];
  const handOn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    // Node's HTTP server hands out Buffers unless an encoding was set.
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const { authorization = '', 'content-type': type } = request.headers;
    const answer = await fetch(`${to}${request.url}`, {
      method: request.method ?? '',
      headers: { authorization, ...(type === undefined ? {} : { 'content-type': type }) },
      ...(body === '' ? {} : { body }),
    });
    const text = await answer.text();
    exchanges.push({
      from: 'recorded',
      method: request.method ?? '',
      url: (request.url ?? '').replace(TWICE, '$1'),
      ...(body === '' ? {} : { body: JSON.parse(body) }),
      status: answer.status,
      answer: JSON.parse(text),
    });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(text);
  };
  const server = createServer((request, response) => void handOn(request, response).catch((error: Error) => response.destroy(error)));
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  // A server that listens on a port has an address of this form.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    exchanges,
    close: () => new Promise((closed) => (server.closeAllConnections(), server.close(() => closed()))),
  };
}

/** @param group names the file @param by program and provider, with their versions */
export function writeRequests(group: string, by: string, exchanges: readonly Exchange[]): void {
  mkdirSync(REQUESTS, { recursive: true });
  const lines = [
    { about: `What the google provider sends for test/terraform/configurations/${group}, and the answers with which its second plan was empty.`, by },
    ...lasting(once(exchanges)),
  ];
  writeFileSync(join(REQUESTS, `${group}.jsonl`), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

/** Without reads that were the same before, since anything was written. */
function once(exchanges: readonly Exchange[]): Exchange[] {
  let seen = new Set<string>();
  return exchanges.filter((exchange) => {
    const isRead = exchange.method === 'GET' || /:(?:getIamPolicy|getOrgPolicy)\b/.test(exchange.url);
    if (!isRead) seen = new Set();
    const key = JSON.stringify(exchange);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** What is made anew: in whole texts by their field, in parts of texts by what stands before them. */
const ANY = /^(?:\w+Time|privateKeyData|publicKeyData)$/;
const WHOLE = /^(?:etag|uniqueId|oauth2ClientId|uid)$/;
const PARTS = /(?<=\/keys\/)[0-9a-f]{40}|(?<=(?:tagKeys|tagValues|folders|projects)\/)\d{5,}|(?<=liens\/)[\w-]+|(?<=operations\/)[^/]+$/g;
/** Numbers of the seed. */
const GIVEN = new Set(['111111111111', '222222222222', '123456789012', '210987654321']);

function lasting(exchanges: readonly Exchange[]): Exchange[] {
  const names = new Map<string, string>();
  const counts = new Map<string, number>();
  const nameOf = (kind: string, value: string): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const name = `{{${kind}:${count}}}`;
    names.set(value, name);
    return name;
  };
  const learn = (value: unknown, key = ''): void => {
    if (typeof value === 'string' && WHOLE.test(key)) nameOf(key, value);
    else if (typeof value === 'string' && !ANY.test(key)) [...value.matchAll(PARTS)].filter(([part]) => !GIVEN.has(part)).forEach(([part]) => void nameOf('id', part));
    else if (typeof value === 'object' && value !== null) for (const [each, inner] of Object.entries(value)) learn(inner, each);
  };
  /** A time that is sent back must be the one that was answered. */
  const learnSent = (value: unknown, key = ''): void => {
    if (typeof value === 'string' && ANY.test(key)) nameOf('time', value);
    else if (typeof value === 'object' && value !== null) for (const [each, inner] of Object.entries(value)) learnSent(inner, each);
  };
  const ids = () => [...names].filter(([, name]) => name.startsWith('{{id:')).toSorted(([a], [b]) => b.length - a.length);
  const replaced = (text: string) => names.get(text) ?? ids().reduce((before, [value, name]) => before.replaceAll(value, name), text);
  const write = (value: unknown, key = ''): unknown => {
    if (typeof value === 'string') return ANY.test(key) ? (names.get(value) ?? '{{*}}') : replaced(value);
    if (Array.isArray(value)) return value.map((each: unknown) => write(each));
    if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([each, inner]) => [each, write(inner, each)]));
    return value;
  };
  for (const { answer, body } of exchanges) {
    learn(answer);
    learnSent(body);
  }
  // Only strings are replaced, so each keeps its form.
  return exchanges.map((exchange) => write(exchange) as Exchange);
}

/** A plan as `terraform show -json` prints it, but when. */
export function writePlan(group: string, json: string): void {
  mkdirSync(PLANS, { recursive: true });
  // A plan is an object, whatever else is in it.
  const plan = JSON.parse(json) as object;
  writeFileSync(join(PLANS, `${group}.json`), `${JSON.stringify({ ...plan, timestamp: undefined }, undefined, 1)}\n`);
}
