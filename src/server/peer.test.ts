import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createPeers } from './peer.ts';

const PORT = 8787;
const peerOf = createPeers(() => PORT);
const from = (remoteAddress: string, localAddress: string, localPort: number) => {
  // The three facts of a socket that are looked at.
  const socket = { remoteAddress, localAddress, localPort } as Socket;
  return peerOf({ socket });
};

test('a program of this machine on our own port is local', () => {
  expect(from('127.0.0.1', '127.0.0.1', PORT)).toEqual({ address: '127.0.0.1', isLocal: true });
  expect(from('::ffff:127.0.0.1', '::ffff:127.0.0.1', PORT)).toEqual({ address: '127.0.0.1', isLocal: true });
  expect(from('::1', '::1', PORT).isLocal).toBe(true);
});

test('a container is not, whichever way it comes', () => {
  expect(from('10.213.0.2', '10.213.0.1', PORT)).toEqual({ address: '10.213.0.2', isLocal: false });
  // The tasks' listener where the host has no part in their network: on loopback, with a port of its own.
  expect(from('127.0.0.1', '127.0.0.1', 30_001).isLocal).toBe(false);
  expect(from('127.0.0.1', '10.213.0.1', PORT).isLocal).toBe(false);
  expect(from('128.0.0.1', '127.0.0.1', PORT).isLocal).toBe(false);
});

test('nobody is before the port is known', () => {
  // The three facts of a socket that are looked at.
  const socket = { remoteAddress: '127.0.0.1', localAddress: '127.0.0.1' } as Socket;
  expect(createPeers(() => undefined)({ socket }).isLocal).toBe(false);
});
