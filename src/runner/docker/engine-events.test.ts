import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../until.ts';
import { type EventFeed, followEvents } from './engine-events.ts';
import { dockerAt } from './test-driver.ts';

let dir: string;
let socket: string;
let server: Server | undefined;
let feed: EventFeed | undefined;
let streams: ServerResponse[];
let told: string[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'actas-feed-'));
  socket = join(dir, 'engine.sock');
  streams = [];
  told = [];
});
afterEach(async () => {
  await feed?.close();
  await down();
  rmSync(dir, { recursive: true, force: true });
});

/** An engine that knows nothing but its stream of events. */
async function up(): Promise<void> {
  const made = createServer((request, response) => {
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
  feed = followEvents(dockerAt(`unix://${socket}`), 'mine', {
    event: (event) => told.push(`${event.action} ${event.containerId}`),
    resync: async () => {
      told.push('resync');
      await resync();
      told.push('resynced');
    },
    available: (available) => told.push(available ? 'back' : 'away'),
  });
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
