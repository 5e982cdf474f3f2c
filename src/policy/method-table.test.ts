import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadCatalogue } from './catalogue.ts';
import { createMethodTable, loadMethodTable } from './method-table.ts';

const HOSTS = readdirSync(new URL('methods/', import.meta.url))
  .filter((name) => name.endsWith('.txt'))
  .map((name) => name.slice(0, -'.txt'.length));
const NONE = new URLSearchParams();

test('what comes with the program', () => {
  expect(HOSTS.toSorted()).toEqual(['firestore.googleapis.com', 'pubsub.googleapis.com', 'storage.googleapis.com']);
});

test.each(HOSTS)('%s: every permission is one that some role holds', (host) => {
  const catalogue = loadCatalogue();
  const permissions = new Set<string>();
  // The table itself says no list: the text does.
  const text = readFileSync(new URL(`methods/${host}.txt`, import.meta.url), 'utf8');
  for (const [, names = ''] of text.matchAll(/^ {2}check (\S+) /gm)) for (const name of names.split(',')) permissions.add(name);
  expect(permissions.size).toBeGreaterThan(4);
  expect([...permissions].filter((permission) => catalogue.rolesWith(permission).length === 0)).toEqual([]);
});

/** What a REST call needs, or undefined where it is none of the table's. */
function needs(host: string, verb: string, path: string, query = NONE): readonly string[] | undefined {
  const match = loadMethodTable(host, 'demo').http(verb, path, query);
  return match?.method.checks(match.said)?.map(({ permission, resource }) => `${permission} ${resource}`);
}

describe('storage', () => {
  const of = (verb: string, path: string, query?: string) => needs('storage.googleapis.com', verb, path, new URLSearchParams(query));
  const bucket = '//storage.googleapis.com/projects/demo/buckets/b';
  test.each([
    ['GET', '/storage/v1/b/b/o/a%2Fc', undefined, [`storage.objects.get ${bucket}/objects/a%2Fc`]],
    ['GET', '/storage/v1/b/b/o/a:c', undefined, [`storage.objects.get ${bucket}/objects/a%3Ac`]],
    ['GET', '/b/a/c', undefined, [`storage.objects.get ${bucket}/objects/a%2Fc`]],
    ['GET', '/storage/v1/b', 'project=p', ['storage.buckets.list //cloudresourcemanager.googleapis.com/projects/p']],
    ['POST', '/storage/v1/b/b/o/x/rewriteTo/b/b/o/y', undefined, [`storage.objects.get ${bucket}/objects/x`, `storage.objects.create ${bucket}/objects/y`]],
    ['PUT', '/upload/resumable/1', undefined, ['storage.objects.create //cloudresourcemanager.googleapis.com/projects/demo']],
  ])('%s %s?%s', (verb, path, query, expected) => {
    expect(of(verb, path, query)).toEqual(expected);
  });
  test.each([
    ['GET', '/storage/v1/b/b/iam', undefined],
    ['GET', '/storage/v1/b', undefined],
    ['GET', '/b/a', 'acl'],
    ['GET', '/storage/v2/b/b', undefined],
    ['GET', '/storage/v1/b/b/o/..', undefined],
    ['GET', '/storage/v1/b/b/o/%2e%2E%2fx', undefined],
    ['GET', '/storage/v1/b/b%2Fo%2Fx', undefined],
    ['GET', '/storage/v1/b/b%252Fo', undefined],
    ['GET', '/storage/v1/b/b/o/%00', undefined],
    ['GET', '/storage/v1/b/b/o/%zz', undefined],
    ['get', '/storage/v1/b/b', undefined],
  ])('nothing is known of %s %s?%s', (verb, path, query) => {
    expect(of(verb, path, query)).toBeUndefined();
  });
});

describe('firestore', () => {
  const of = (verb: string, path: string) => needs('firestore.googleapis.com', verb, `/v1/projects/p/databases/(default)/documents${path}`);
  const database = '//firestore.googleapis.com/projects/p/databases/(default)';
  test.each([
    ['GET', '/c/d', [`datastore.entities.get ${database}`]],
    ['GET', '/c', [`datastore.entities.get ${database}`, `datastore.entities.list ${database}`]],
    ['GET', '/c/d/e', [`datastore.entities.get ${database}`, `datastore.entities.list ${database}`]],
    ['GET', '/c/d/e/f', [`datastore.entities.get ${database}`]],
    ['POST', '/c', [`datastore.entities.create ${database}`]],
    ['POST', ':runQuery', [`datastore.entities.get ${database}`, `datastore.entities.list ${database}`]],
    ['POST', '/c/d:runQuery', [`datastore.entities.get ${database}`, `datastore.entities.list ${database}`]],
    ['POST', '/c:newVerb', undefined],
    ['DELETE', '/c', undefined],
  ])('%s %s', (verb, path, expected) => {
    expect(of(verb, path)).toEqual(expected);
  });
});

test.each([
  ['http GET /v1/x', 'cannot read'],
  ['widgets.get\n  fetch GET /v1/x', 'cannot read'],
  ['widgets.get\n  http GET /v1/{name}', 'has no check'],
  ['widgets.get\n  http GET /v1/{name}\n  check w.w.get {other}', 'checks {other}'],
  ['widgets.get\n  http GET /v1/{name\n  check w.w.get {name}', 'Not a path template'],
  ['widgets.get\n  grpc a.B/C name=x\n  check w.w.get {name}', 'cannot read'],
  ['widgets.get\n  grpc a.B/C name=1\n  check w.w.get {name:}', 'cannot read'],
])('what cannot be read is said: %j', (text, problem) => {
  expect(() => createMethodTable('widgets.googleapis.com', 'demo', [text])).toThrow(problem);
});

test('a declared method comes before one of ours', () => {
  const declared = 'mine\n  http GET /v1/{topic=projects/*/topics/*}\n  check pubsub.topics.list {topic:2}\n';
  expect(loadMethodTable('pubsub.googleapis.com', 'demo', declared).http('GET', '/v1/projects/p/topics/t', NONE)?.method.name).toBe('mine');
});
