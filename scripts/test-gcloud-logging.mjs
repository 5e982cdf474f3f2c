/**
 * What test-gcloud.mjs does with logs.
 * @returns {[string, string[], RegExp, boolean?][]} what is shown, the command, what its output must say, whether it must fail
 */
export function loggingSteps() {
  const logging = ['logging'];
  return [
    ['an entry', [...logging, 'write', 'from-gcloud', 'A simple entry', '--severity=ERROR'], /Created log entry/],
    ['an entry in JSON', [...logging, 'write', 'from-gcloud', '{"key": "value"}', '--payload-type=json'], /Created log entry/],
    ['the entries', [...logging, 'read', 'logName:from-gcloud AND severity>=ERROR', '--limit=5'], /textPayload: A simple entry/],
    ['by a regular expression', [...logging, 'read', 'jsonPayload.key=~"^val"', '--format=value(jsonPayload.key)'], /^value$/m],
    ['a filter that is none', [...logging, 'read', 'thud=1'], /Unparseable filter: Field not found: 'thud'/, true],
    [
      'the audit trail',
      [...logging, 'read', 'protoPayload.methodName:CreateJob', '--format=value(protoPayload.authenticationInfo.principalEmail)', '--limit=1'],
      /owner@example.com/,
    ],
    ['the logs', [...logging, 'logs', 'list'], /projects\/demo\/logs\/from-gcloud/],
    ['what resources there are', [...logging, 'resource-descriptors', 'list'], /cloud_run_job/],
    ['a log deleted', [...logging, 'logs', 'delete', 'from-gcloud'], /Deleted \[from-gcloud\]/],
    ['a log that is gone', [...logging, 'logs', 'delete', 'from-gcloud'], /does not exist/, true],
    ['an audit log is kept', [...logging, 'logs', 'delete', 'cloudaudit.googleapis.com%2Factivity'], /Audit logs cannot be deleted/, true],
  ];
}
