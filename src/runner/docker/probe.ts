/** Startup probes, made to the attempt's address. A probe that passes lets the containers start that depend on this one. */
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { Socket } from 'node:net';
import { addAbortSignal } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Probe } from '../driver.ts';

/** A connection to this port of the attempt. */
export type Dial = (port: number) => Socket;

/**
 * Probes until it passes. @returns undefined when it passed; else why not, after `failureThreshold` failures in a row
 * @throws AbortError when the signal is aborted
 */
export async function runProbe(probe: Probe, dial: Dial, signal: AbortSignal): Promise<string | undefined> {
  await sleep(probe.initialDelayMs, undefined, { signal });
  for (let failures = 0; ; ) {
    const begun = performance.now();
    const reason = await check(probe, dial, AbortSignal.any([signal, AbortSignal.timeout(probe.timeoutMs)]));
    signal.throwIfAborted();
    if (reason === undefined) return undefined;
    failures++;
    if (failures >= probe.failureThreshold) return `The startup probe (${describeCheck(probe)}) failed ${failures} times: ${reason}`;
    await sleep(Math.max(0, probe.periodMs - (performance.now() - begun)), undefined, { signal });
  }
}

function describeCheck({ check }: Probe): string {
  return check.kind === 'http' ? `HTTP GET port ${check.port} ${check.path}` : `${check.kind} port ${check.port}`;
}

function check({ check: what }: Probe, dial: Dial, signal: AbortSignal): Promise<string | undefined> {
  switch (what.kind) {
    case 'tcp':
      return checkTcp(dial, what.port, signal);
    case 'http':
      return checkHttp(dial, what, signal);
    case 'grpc':
      return checkGrpc(dial, what, signal);
  }
}

function checkTcp(dial: Dial, port: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = addAbortSignal(signal, dial(port));
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error) => resolve(reasonOf(error)));
  });
}

/** As the kubelet does: 200 to 399 is success. */
function checkHttp(
  dial: Dial,
  what: { readonly port: number; readonly path: string; readonly headers: readonly { name: string; value: string }[] },
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = Object.fromEntries(what.headers.map((header) => [header.name, header.value]));
    const call = request({ createConnection: () => dial(what.port), host: 'localhost', port: what.port, path: what.path || '/', headers, signal }, (response) => {
      const status = response.statusCode ?? 0;
      response.destroy();
      resolve(status >= 200 && status < 400 ? undefined : `HTTP status ${status}`);
    });
    call.once('error', (error) => resolve(reasonOf(error)));
    call.end();
  });
}

const SERVING = 1;

/** grpc.health.v1.Health/Check, whose two messages have one field each: written out here, a client library would be more. */
function checkGrpc(dial: Dial, what: { readonly port: number; readonly service: string }, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://localhost:${what.port}`, { createConnection: () => dial(what.port) });
    const finish = (reason: string | undefined) => {
      session.destroy();
      resolve(reason);
    };
    signal.addEventListener('abort', () => finish('timeout'), { once: true });
    session.once('error', (error) => finish(reasonOf(error)));
    const call = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers' });
    const chunks: Buffer[] = [];
    let status = '';
    call.on('response', (headers) => (status = String(headers['grpc-status'] ?? status)));
    call.on('trailers', (headers) => (status = String(headers['grpc-status'] ?? status)));
    call.on('data', (chunk: Buffer) => chunks.push(chunk));
    call.once('error', (error) => finish(reasonOf(error)));
    call.once('close', () => finish(status === '0' && servingStatus(Buffer.concat(chunks)) === SERVING ? undefined : `gRPC status ${status || 'missing'}, not SERVING`));
    call.end(healthRequest(what.service));
  });
}

/** A length-prefixed HealthCheckRequest{service = 1}. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8').subarray(0, 127);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** `status = 1` of a length-prefixed HealthCheckResponse; 0 where it is missing. */
export function servingStatus(body: Buffer): number {
  return body.length >= 7 && body[5] === 0x08 ? (body[6] ?? 0) : 0;
}

function reasonOf(error: Error): string {
  return error.name === 'AbortError' || error.name === 'TimeoutError' ? 'timeout' : error.message;
}
