import { expect, test } from 'vitest';
import type { Api } from '../services/service.ts';
import { createRoutes } from './routes.ts';

const api = (host: string, methods: Record<string, readonly string[]>): Api => ({
  host,
  services: [{ typeName: `${host}.Service`, methods }],
  load: () => Promise.reject(new Error('routes load nothing')),
});
const routes = createRoutes([
  api('a.example', { Get: ['GET /v1/{name=things/*}'], Run: ['POST /v1/{name=things/*}:run *'], List: ['GET /v1/things', 'GET /v1/{parent=boxes/*}/things'] }),
  // The same host, declared apart.
  api('a.example', { Special: ['GET /v1/things/special'] }),
  api('b.example', { Get: ['GET /v1/{name=things/*}'] }),
]);
const at = (verb: string, host: string | undefined, path: string) => {
  const { route, variables } = routes.find(verb, { host, path });
  return [route.rpc, route.body, Object.fromEntries(variables)];
};

test.each([
  ['GET', '/v1/things/one', ['Get', '', { name: 'things/one' }]],
  ['POST', '/v1/things/one:run', ['Run', '*', { name: 'things/one' }]],
  ['GET', '/v1/boxes/b/things', ['List', '', { parent: 'boxes/b' }]],
  ['GET', '/v1/things/special', ['Special', '', {}]],
])('%s %s', (verb, path, expected) => {
  expect(at(verb, 'a.example', path)).toEqual(expected);
});

test('without a host the path must be of one API alone', () => {
  expect(at('GET', undefined, '/v1/boxes/b/things')[0]).toBe('List');
  expect(() => at('GET', undefined, '/v1/things/one')).toThrow('could mean a.example or b.example');
});

test('what is no method says what there is', () => {
  expect(() => at('PUT', 'a.example', '/v1/things/one')).toThrow('The path exists for GET.');
  expect(() => at('GET', 'c.example', '/v1/things/one')).toThrow('is no method of c.example');
});
