import { expect, test } from 'vitest';
import { Control } from '../gen/actas/v1/control_pb.js';
import { unimplementedService } from '../services/service.ts';
import { defineApi } from './api.ts';

const control = () => [unimplementedService(Control, 'actas.internal')];

test('what finds a request is known without loading anything', () => {
  const api = defineApi({
    host: 'actas.internal',
    serves: ['actas.v1.Control'],
    operations: { owns: (name) => name.startsWith('mine/'), methods: { GetOperation: ['GET /v1/{name=mine/*}'] } },
    load: () => Promise.reject(new Error('not wanted')),
  });
  const [first, operations] = api.services;
  expect(first).toEqual({
    typeName: 'actas.v1.Control',
    methods: { GetStatus: ['GET /actas/v1/status'], IssueToken: ['POST /actas/v1/tokens:issue *'], RotateSecretsKey: ['POST /actas/v1/secretsKey:rotate *'] },
  });
  expect(operations?.methods['GetOperation']).toEqual(['GET /v1/{name=mine/*}']);
  // What the API says nothing of keeps the paths of the proto.
  expect(operations?.methods['CancelOperation']).toEqual(['POST /v1/{name=operations/**}:cancel *']);
  expect([operations?.owns?.('mine/1'), operations?.owns?.('yours/1')]).toEqual([true, false]);
});

test('a former version leads to the same methods, of operations too', () => {
  const api = defineApi({
    host: 'actas.internal',
    serves: ['google.iam.v2.Policies'],
    operations: { owns: () => true, methods: { GetOperation: ['GET /v2/{name=policies/*/*/*/operations/*}'] } },
    formerly: ['v2', 'v2beta'],
    load: () => Promise.reject(new Error('not wanted')),
  });
  const [first, operations] = api.services;
  expect(first?.methods['GetPolicy']).toEqual(['GET /v2/{name=policies/*/*/*}', 'GET /v2beta/{name=policies/*/*/*}']);
  expect(operations?.methods['GetOperation']).toEqual(['GET /v2/{name=policies/*/*/*/operations/*}', 'GET /v2beta/{name=policies/*/*/*/operations/*}']);
});

test('requests that come together load once, and those that come later not again', async () => {
  let loads = 0;
  const api = defineApi({ host: 'actas.internal', serves: ['actas.v1.Control'], load: async () => (loads++, control()) });
  const [one, two] = await Promise.all([api.load(), api.load()]);
  expect(one).toBe(two);
  expect(await api.load()).toBe(one);
  expect(loads).toBe(1);
});

test('a failure is told to all who waited, and the next request tries again', async () => {
  let isBroken = true;
  const api = defineApi({ host: 'actas.internal', serves: ['actas.v1.Control'], load: () => (isBroken ? Promise.reject(new Error('no such file')) : Promise.resolve(control())) });
  const outcomes = await Promise.allSettled([api.load(), api.load()]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  isBroken = false;
  expect(await api.load()).toHaveLength(1);
});

test('a declaration that is not what is loaded is refused', async () => {
  const api = defineApi({ host: 'actas.example', serves: ['actas.v1.Control'], load: async () => control() });
  await expect(api.load()).rejects.toThrow('declares actas.example actas.v1.Control, but what is loaded is actas.internal actas.v1.Control');
});
