import { expect, test } from 'vitest';
import { googleHost } from './google-host.ts';

test.each([
  ['storage.googleapis.com', 'storage.googleapis.com', undefined],
  ['bucket.storage.googleapis.com', 'bucket.storage.googleapis.com', undefined],
  ['us-central1-pubsub.googleapis.com', 'pubsub.googleapis.com', 'us-central1'],
  ['pubsub.europe-west1.rep.googleapis.com', 'pubsub.googleapis.com', 'europe-west1'],
  ['us-docker.pkg.dev', 'us-docker.pkg.dev', undefined],
  ['accounts.google.com', 'accounts.google.com', undefined],
])('%s is of Google: %s in %s', (name, host, region) => {
  expect(googleHost(name)).toEqual({ host, region });
});

test.each(['example.com', 'googleapis.com.example.com', 'evilgoogleapis.com', 'google.com', 'localhost', '', '.googleapis.com', 'a..googleapis.com'])('%s is not', (name) => {
  expect(googleHost(name)).toBeUndefined();
});
