import fc from 'fast-check';
import { expect, test } from 'vitest';
import { invalidArgument, permissionDenied, unimplemented } from '../errors.ts';
import { toConnect } from './grpc.ts';

/** What the trailers take: the text percent-encoded, and both once more in base64. */
function trailerBytes(error: ReturnType<typeof toConnect>): number {
  const details = error.details.reduce((sum, detail) => sum + ('value' in detail && detail.value instanceof Uint8Array ? detail.value.length : 0), 0);
  return encodeURIComponent(error.rawMessage).length + Math.ceil(((Buffer.byteLength(error.rawMessage) + details) * 4) / 3);
}

test('code, message and details are those of the JSON answer', () => {
  const denied = permissionDenied('No.', { permission: 'run.jobs.get', resource: 'projects/p', domain: 'run.googleapis.com' }, { sentence: 'Run:', command: 'actas x' });
  const wire = toConnect(denied);
  expect(wire).toMatchObject({ code: 7, rawMessage: 'No.', details: [{ type: 'google.rpc.ErrorInfo' }, { type: 'google.rpc.LocalizedMessage' }] });
  expect(toConnect(unimplemented('x')).code).toBe(12);
});

test('an error always fits into trailers, whatever it quotes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 5000 }), (text, times) => {
      const wire = toConnect(invalidArgument('name', text.repeat(times)));
      expect(trailerBytes(wire)).toBeLessThan(7900);
      expect(wire.rawMessage.isWellFormed()).toBe(true);
    }),
    { numRuns: 50 },
  );
});
