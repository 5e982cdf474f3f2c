/**
 * A call without doors, for the tests of services: it runs a method as `server/dispatch` does (declared checks first, then the
 * handler), on a clock that the test moves, and asks whoever the test says about permissions.
 */
import { create, type Message } from '@bufbuild/protobuf';
import { permissionDenied, unimplemented } from '../errors.ts';
import { parsePrincipal } from '../identity/principal.ts';
import type { Clock, Micros } from '../timestamp.ts';
import type { AnyService, Call, Check, Lookup } from './service.ts';

/** Whether a policy member has the permission. */
export type Decide = (member: string, check: Check) => boolean | Promise<boolean>;

export interface FakeClock extends Clock {
  advance(micros: number): void;
}

/** Starts at a fixed time, and moves a microsecond with every look, so that no two changes have the same time. */
export function createFakeClock(start: Micros = 1_700_000_000_000_000): FakeClock {
  let time = start;
  return {
    now: () => {
      time += 1;
      return time;
    },
    advance(micros) {
      time += micros;
    },
  };
}

export interface FakeCall extends Call {
  readonly warnings: readonly string[];
  /** Every check that was asked about, in order. */
  readonly asked: readonly Check[];
}

export function createFakeCall(options: { readonly member?: string; readonly clock?: Clock; readonly decide?: Decide } = {}): FakeCall {
  const principal = parsePrincipal(options.member ?? 'user:owner@example.com');
  const decide: Decide = options.decide ?? (() => true);
  const clock = options.clock ?? createFakeClock();
  const warnings: string[] = [];
  const asked: Check[] = [];
  const nothing = () => undefined;
  return {
    principal,
    warnings,
    asked,
    async authorize(check, message) {
      asked.push(check);
      if (!(await decide(principal.member, check)))
        throw permissionDenied(message ?? `${check.permission} denied`, { permission: check.permission, resource: check.asked ?? check.resource, domain: 'test' });
    },
    isAllowed: async (check) => decide(principal.member, check),
    isMemberAllowed: async (member, check) => decide(member, check),
    warn: (message) => warnings.push(message),
    signal: new AbortController().signal,
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    now: () => clock.now(),
  };
}

/** @param request the fields of the request message @throws what the checks or the handler throw */
export async function callUnary(service: AnyService, name: string, request: Record<string, unknown>, call: Call, look: Lookup): Promise<Message> {
  const desc = service.desc.methods.find((method) => method.localName === name);
  const method = service.methods[name];
  if (desc === undefined || method === undefined) throw new Error(`${service.desc.typeName} has no method ${name}`);
  if (method === 'unimplemented' || method.handle === undefined) throw unimplemented(`${service.desc.typeName}.${desc.name}`);
  const message = create(desc.input, request);
  if ('checks' in method.access) for (const check of await method.access.checks(message, look)) await call.authorize(check);
  return create(desc.output, await method.handle(message, call));
}
