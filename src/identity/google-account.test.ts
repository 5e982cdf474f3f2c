import { expect, test } from 'vitest';
import { loadConfig } from '../config.ts';
import { findGoogleAccount } from './google-account.ts';

const LOCAL = 'runner@demo.iam.gserviceaccount.com';
const REAL = 'runner@real-project.iam.gserviceaccount.com';
const load = (identities: unknown) => loadConfig({ identities }, {}).identities;

test('an account acts as a real one where the configuration says so, and not otherwise', () => {
  const accounts = load({
    'Runner@demo.iam.gserviceaccount.com': { identity: 'google', account: REAL },
    'other@demo.iam.gserviceaccount.com': { identity: 'local', account: REAL },
  });
  expect(accounts).toEqual({ [LOCAL]: { account: REAL, project: 'real-project', endpoint: 'https://iamcredentials.googleapis.com' } });
  expect([LOCAL, 'other@demo.iam.gserviceaccount.com', 'constructor', ''].map((email) => findGoogleAccount(accounts, email) !== undefined)).toEqual([true, false, false, false]);
  expect(loadConfig({}, {}).identities).toEqual({});
});

test('what else may be said of one', () => {
  const more = { project: 'data-project', projectNumber: 42, scopes: ['openid'], endpoint: 'http://127.0.0.1:8080/iamcredentials.googleapis.com/', ca: '/etc/ca.pem' };
  expect(load({ [LOCAL]: { identity: 'google', account: '7-compute@developer.gserviceaccount.com', ...more } })).toEqual({
    [LOCAL]: { ...more, account: '7-compute@developer.gserviceaccount.com', projectNumber: '42', endpoint: 'http://127.0.0.1:8080/iamcredentials.googleapis.com' },
  });
});

const google = (more: object) => ({ [LOCAL]: { identity: 'google', account: REAL, ...more } });
test.each([
  ['text', 'must be a mapping'],
  [[], 'must be a mapping'],
  [{ 'user@example.com': { identity: 'google', account: REAL } }, '"user@example.com" must be the address of a service account here'],
  [{ [LOCAL]: REAL }, `${LOCAL} must say identity: google`],
  [{ [LOCAL]: { account: REAL } }, 'identity is not set: must be google'],
  [google({ identity: 'gcp' }), 'identity is "gcp": must be google'],
  [google({ account: undefined }), 'account is not set: must be the address of the real service account'],
  [google({ account: 'dev@example.com' }), 'account is "dev@example.com": must be'],
  [
    google({ account: '7-compute@developer.gserviceaccount.com' }),
    'project is not set: must be the id of the real project; the address of 7-compute@developer.gserviceaccount.com does not say it',
  ],
  [google({ project: 'Upper Case' }), 'project is "Upper Case": must be the id'],
  [google({ projectNumber: 'seven' }), 'projectNumber is "seven": must be the number'],
  [google({ scopes: 'openid' }), 'scopes is "openid": must be a list'],
  [google({ scopes: [] }), 'scopes is []: must be a list'],
  [google({ endpoint: 'http://iamcredentials.internal' }), 'endpoint is "http://iamcredentials.internal": must be an https URL'],
  [google({ endpoint: 'https://user:x@iamcredentials.internal' }), 'must be an https URL'],
  [google({ ca: '' }), 'ca is "": must be a file'],
  [google({ token: 'x' }), 'has no token: it may have'],
])('one that cannot be used is refused by its field, its value and what would do: %j', (identities, problem) => {
  expect(() => load(identities)).toThrow(problem);
});

test('a variable of the environment maps nothing', () => {
  expect(() => loadConfig({}, { ACTAS_IDENTITIES: `${LOCAL}=${REAL}` })).toThrow('must be a mapping of service accounts in the configuration file');
});
