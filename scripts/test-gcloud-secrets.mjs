/** What `npm run test:gcloud` does with secrets: see test-gcloud.mjs. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @param {string} dir for files
 * @returns {[string, string[], RegExp, boolean?][]}
 */
export function secretSteps(dir) {
  const payload = join(dir, 'payload');
  writeFileSync(payload, 's3cr3t');
  const reader = ['--member=user:dev@example.com', '--role=roles/secretmanager.secretAccessor'];
  const region = '--location=europe-west1';
  return [
    ['a secret with a payload', ['secrets', 'create', 'db', `--data-file=${payload}`, '--labels=team=blue'], /Created version \[1\] of the secret \[db\]/],
    ['a second one is refused', ['secrets', 'create', 'db'], /Secret \[projects\/\d+\/secrets\/db\] already exists/, true],
    ['another version', ['secrets', 'versions', 'add', 'db', `--data-file=${payload}`], /Created version \[2\] of the secret \[db\]/],
    ['the payload', ['secrets', 'versions', 'access', 'latest', '--secret=db'], /^s3cr3t/],
    ['the list', ['secrets', 'list'], /db +\d{4}-\d\d-\d\d\S* +automatic +-/],
    ['the secret', ['secrets', 'describe', 'db'], /labels:\n +team: blue\nname: projects\/\d+\/secrets\/db/],
    ['an alias', ['secrets', 'update', 'db', '--update-version-aliases=prod=1', '--update-labels=a=b'], /Updated secret \[db\]/],
    ['a payload by its alias', ['secrets', 'versions', 'access', 'prod', '--secret=db'], /^s3cr3t/],
    ['a grant', ['secrets', 'add-iam-policy-binding', 'db', ...reader], /roles\/secretmanager.secretAccessor/],
    ['the policy', ['secrets', 'get-iam-policy', 'db'], /user:dev@example.com/],
    ['the grant taken away', ['secrets', 'remove-iam-policy-binding', 'db', ...reader], /etag/],
    ['a version disabled', ['secrets', 'versions', 'disable', '2', '--secret=db'], /Disabled version \[2\] of the secret \[db\]/],
    ['that it cannot be read', ['secrets', 'versions', 'access', '2', '--secret=db'], /is in DISABLED state/, true],
    ['a version enabled', ['secrets', 'versions', 'enable', '2', '--secret=db'], /Enabled version \[2\] of the secret \[db\]/],
    ['a version destroyed', ['secrets', 'versions', 'destroy', '2', '--secret=db'], /Destroyed version \[2\] of the secret \[db\]/],
    ['the versions', ['secrets', 'versions', 'list', 'db'], /2 .*destroyed[\s\S]*1 .*enabled/],
    ['a version', ['secrets', 'versions', 'describe', '1', '--secret=db'], /state: ENABLED/],
    ['where it is kept', ['secrets', 'replication', 'get', 'db'], /automatic/],
    ['a regional secret', ['secrets', 'create', 'near', region, `--data-file=${payload}`], /Created version \[1\] of the secret \[near\]/],
    ['its payload', ['secrets', 'versions', 'access', 'latest', '--secret=near', region], /^s3cr3t/],
    ['its end', ['secrets', 'delete', 'near', region], /Deleted secret \[near\]/],
    ['the end of the secret', ['secrets', 'delete', 'db'], /Deleted secret \[db\]/],
    ['that it is gone', ['secrets', 'describe', 'db'], /Secret \[projects\/\d+\/secrets\/db\] not found/, true],
  ];
}
