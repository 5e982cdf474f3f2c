/**
 * Writes the role catalogue (src/policy/catalogue/*.txt) from a checkout of https://github.com/iann0036/iam-dataset.
 * Run by hand when the catalogue is brought up to date; the diff is reviewed like any other.
 *
 *   node scripts/catalogue.mjs PATH...
 *
 * PATH is the data set's folder `gcp/roles`, one of its files, or a collection `{ "roles": { NAME: { title, description,
 * stage, permissions } } }` of such files (a role marked `subset` is already cut to SERVED). The committed files come from commit
 * 2073fa52ac008a45477aa0b1b4580cd99135bf60 (2026-08-22), the Monitoring roles from the last versions before it that differ.
 */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const TARGET = new URL('../src/policy/catalogue/', import.meta.url);

/** Basic and job-function roles hold thousands of permissions of services that nobody asks us about. They are cut to these services, and say so. */
const SERVED = [
  'artifactregistry',
  'cloudasset',
  'cloudresourcemanager',
  'cloudscheduler',
  'iam',
  'iam.googleapis.com',
  'iamcredentials',
  'logging',
  'monitoring',
  'orgpolicy',
  'policyanalyzer',
  'policyremediatormanager',
  'policysimulator',
  'policytroubleshooter',
  'pubsub',
  'recommender',
  'resourcemanager',
  'run',
  'secretmanager',
  'serviceusage',
  'storage',
  'sts',
];
const CUT_ABOVE = 1000;
/** Lists that are older than the role: what they lack of these services is not known to be absent. */
const STALE = new Map(['viewer', 'editor', 'admin'].map((role) => [`roles/monitoring.${role}`, ['monitoring', 'logging', 'cloudasset']]));
/** Which roles are kept, by the first word of their names. */
const KEPT = new Set(
  (
    'aiplatform alloydb artifactregistry batch bigquery bigqueryconnection bigquerycontinuousquery bigquerydatapolicy bigquerydatatransfer bigquerymigration bigqueryomni bigqueryspark bigtable billing browser ' +
    'cloudasset cloudbuild cloudfunctions cloudkms cloudkmskacls cloudprofiler cloudscheduler cloudsql cloudtasks cloudtrace compute container containerregistry dataflow datastore discoveryengine dns editor ' +
    'errorreporting eventarc file firebase iam iap logging monitoring orgpolicy owner policyanalyzer policysimulator pubsub pubsublite recommender redis redisenterprisecloud resourcemanager run secretmanager ' +
    'serverless serviceusage spanner storage storagebatchoperations storageinsights storagetransfer viewer vpcaccess workflows'
  ).split(' '),
);

const roles = new Map();
for (const path of process.argv.slice(2))
  for (const role of read(path)) if (KEPT.has(role.name.slice('roles/'.length).split('.')[0]) && role.permissions.length > 0) roles.set(role.name, role);
if (roles.size === 0) {
  console.error('usage: node scripts/catalogue.mjs PATH...  (the folder gcp/roles of github.com/iann0036/iam-dataset)');
  process.exit(2);
}
const files = new Map();
for (const role of [...roles.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
  const file = role.name.includes('.') ? role.name.slice('roles/'.length).split('.')[0] : 'basic';
  files.set(file, (files.get(file) ?? '') + render(role));
}
// The roles of our own API are in no data set.
for (const old of readdirSync(TARGET)) if (old.endsWith('.txt') && old !== 'actas.txt') rmSync(new URL(old, TARGET));
for (const [file, text] of files) writeFileSync(new URL(`${file}.txt`, TARGET), text, 'latin1');
console.log(`${roles.size} roles in ${files.size} files`);

function read(path) {
  if (statSync(path).isDirectory())
    return readdirSync(path)
      .filter((file) => file.endsWith('.json'))
      .flatMap((file) => read(join(path, file)));
  const data = JSON.parse(readFileSync(path, 'utf8'));
  if (data.roles !== undefined) return Object.entries(data.roles).map(([name, role]) => ({ name, ...role, isSubset: role.subset === true }));
  return [{ ...data, permissions: data.includedPermissions ?? [] }];
}

function render(role) {
  const isCut = role.isSubset || role.permissions.length > CUT_ABOVE;
  const stale = STALE.get(role.name);
  const certain = isCut ? SERVED : stale && SERVED.filter((service) => !stale.includes(service));
  const kinds = new Map();
  for (const permission of role.permissions) {
    const service = permission.includes('/') ? permission.slice(0, permission.indexOf('/')) : permission.slice(0, permission.indexOf('.'));
    if (isCut && !SERVED.includes(service)) continue;
    const dot = permission.lastIndexOf('.');
    const kind = permission.slice(0, dot);
    kinds.set(kind, [...(kinds.get(kind) ?? []), permission.slice(dot + 1)]);
  }
  const lines = [`role ${role.name.slice('roles/'.length)} ${role.stage ?? 'ALPHA'} ${oneLine(role.title)}`];
  if (role.description) lines.push(`  about: ${oneLine(role.description)}`);
  if (certain) lines.push(`  certain: ${certain.join(' ')}`);
  for (const kind of [...kinds.keys()].sort((a, b) => (a < b ? -1 : 1))) lines.push(`  ${kind}: ${kinds.get(kind).sort().join(' ')}`);
  return `${lines.join('\n')}\n`;
}

/** The catalogue is Latin-1 so that it loads without decoding. */
function oneLine(text) {
  return text.replace(/[‘’]/g, "'").replace(/[“”]/g, '"').replace(/[–—]/g, '-').replace(/\s+/g, ' ').trim();
}
