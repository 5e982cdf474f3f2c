import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../until.ts';
import { type EngineEvent, type EventFeed, followEvents } from './engine-events.ts';
import { dockerAt } from './test-driver.ts';

let dir: string;
let socket: string;
let server: Server | undefined;
let feed: EventFeed | undefined;
let streams: ServerResponse[];
let told: string[];
/** Whether the engine answers at all; else it takes requests, and keeps them. */
let hangs: boolean;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'actas-feed-'));
  socket = join(dir, 'engine.sock');
  streams = [];
  told = [];
  hangs = false;
});
afterEach(async () => {
  await feed?.close();
  await down();
  rmSync(dir, { recursive: true, force: true });
});

/** An engine that knows nothing but its stream of events, and that it is there. */
async function up(): Promise<void> {
  const made = createServer((request, response) => {
    if (hangs) return response;
    if (request.url === '/_ping') return response.end('OK');
    if (!request.url?.includes('/events?')) return response.writeHead(404).end();
    expect(decodeURIComponent(request.url)).toContain('"actas.data-dir=mine"');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    streams.push(response);
    return response;
  });
  server = made;
  await new Promise<void>((resolve) => made.listen(socket, resolve));
}

async function down(): Promise<void> {
  const closing = server;
  if (closing === undefined) return;
  server = undefined;
  const closed = new Promise((resolve) => closing.close(resolve));
  closing.closeAllConnections();
  await closed;
}

function follow(resync: () => Promise<void> = async () => undefined): EventFeed {
  const listener = {
    event: (event: EngineEvent) => told.push(`${event.action} ${event.containerId}`),
    resync: async () => {
      told.push('resync');
      await resync();
      told.push('resynced');
    },
    available: (available: boolean, reason: string) => told.push(available ? 'back' : /it hangs/.test(reason) ? 'hung' : 'away'),
  };
  feed = followEvents(dockerAt(`unix://${socket}`), 'mine', listener, { vigilance: { everyMs: 5, patienceMs: 300 } });
  return feed;
}

const event = (action: string, id: string) => `${JSON.stringify({ Type: 'container', Action: action, Actor: { ID: id, Attributes: {} } })}\n`;

test('an engine that goes away and comes back: told once each, everything is looked at again before any later event, and half a line is no event', async () => {
  await up();
  await follow().ready;
  streams[0]?.write(event('start', 'a') + event('die', 'a').slice(0, 20));
  await until(() => told.includes('start a'));
  await down();
  await until(() => told.includes('away'));
  await up();
  await until(() => streams.length === 2 && told.includes('back'));
  streams[1]?.write(event('die', 'a'));
  await until(() => told.includes('die a'));
  expect(told).toEqual(['resync', 'resynced', 'start a', 'away', 'resync', 'resynced', 'back', 'die a']);
});

test('events that come while everything is looked at are told afterwards', async () => {
  let finish: () => void = () => undefined;
  await up();
  const { ready } = follow(() => new Promise((resolve) => (finish = resolve)));
  await until(() => streams.length === 1 && told.includes('resync'));
  streams[0]?.write(event('die', 'b'));
  finish();
  await ready;
  await until(() => told.includes('die b'));
  expect(told).toEqual(['resync', 'resynced', 'die b']);
});

test('a first connection that fails is an error, and closing ends the trying', async () => {
  await expect(follow().ready).rejects.toThrow(/ENOENT/);
  await feed?.close();
  expect(told).toEqual(['away']);
});

test('an engine that hangs, its socket open and its streams silent, is away until it answers again', async () => {
  await up();
  await follow().ready;
  hangs = true;
  await until(() => told.includes('hung'));
  hangs = false;
  await until(() => streams.length === 2 && told.includes('back'));
  streams[1]?.write(event('die', 'c'));
  await until(() => told.includes('die c'));
  expect(told).toEqual(['resync', 'resynced', 'hung', 'resync', 'resynced', 'back', 'die c']);
});

test('an engine that begins to hang while everything is looked at is away as well', async () => {
  await up();
  let finish: () => void = () => undefined;
  const looks = [() => new Promise<void>((resolve) => (finish = resolve)), async () => undefined];
  const { ready } = follow(() => looks.shift()?.() ?? Promise.resolve());
  ready.catch(() => undefined);
  await until(() => told.includes('resync'));
  hangs = true;
  await until(() => told.includes('hung'));
  // The call that hung is answered after all; it is no longer what counts.
  finish();
  hangs = false;
  await until(() => told.includes('back'));
  expect(told).toEqual(['resync', 'hung', 'resynced', 'resync', 'resynced', 'back']);
  await expect(ready).rejects.toThrow(/it hangs/);
});

test('an engine that hangs from the first is an error that says so', async () => {
  await up();
  hangs = true;
  await expect(follow().ready).rejects.toThrow(/accepts connections.*it hangs/);
});
