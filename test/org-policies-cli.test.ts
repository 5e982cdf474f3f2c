/** Organization policies from the command line, in gcloud's grammar, against a control plane. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type RunOptions, run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const CROSS = 'iam.disableCrossProjectServiceAccountUsage';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

async function actas(line: string, options: RunOptions = {}) {
  const ran = await run([...line.split(' '), `--data-dir=${server.dataDir}`, '--quiet'], options);
  if (ran.code !== 0) throw new Error(`actas ${line}: ${ran.err}`);
  return ran.out;
}
const yaml = async (line: string, options: RunOptions = {}) => parse(await actas(line, options));

describe('resource-manager org-policies', () => {
  test('a switch: describe, disable, enable, list, delete', async () => {
    const policies = 'resource-manager org-policies';
    expect(await yaml(`${policies} describe ${CROSS} --effective --project=demo`)).toEqual({ constraint: `constraints/${CROSS}`, booleanPolicy: { enforced: true } });
    expect(await yaml(`${policies} disable-enforce constraints/${CROSS} --project=demo`)).toMatchObject({ booleanPolicy: {}, etag: expect.any(String) });
    expect((await yaml(`${policies} describe ${CROSS} --effective --project=demo`)).booleanPolicy).toEqual({});
    expect((await yaml(`${policies} enable-enforce ${CROSS} --folder=222222222222`)).booleanPolicy).toEqual({ enforced: true });
    expect(await actas(`${policies} list --format=value(constraint)`)).toBe(`constraints/${CROSS}\n`);
    expect((await actas(`${policies} list --show-unset --format=value(constraint)`)).split('\n')).toContain('constraints/gcp.resourceLocations');
    await actas(`${policies} delete ${CROSS} --project=demo`);
    await actas(`${policies} delete ${CROSS} --folder=222222222222`);
    expect(await actas(`${policies} list --format=value(constraint)`)).toBe('');
  });

  test('values: allow and deny add, and without values mean all', async () => {
    const policies = 'resource-manager org-policies';
    const at = '--organization=111111111111';
    await actas(`${policies} allow run.allowedVPCEgress all-traffic ${at}`);
    expect((await yaml(`${policies} allow run.allowedVPCEgress private-ranges-only all-traffic ${at}`)).listPolicy).toEqual({
      allowedValues: ['all-traffic', 'private-ranges-only'],
    });
    expect((await yaml(`${policies} deny run.allowedVPCEgress is:x ${at}`)).listPolicy).toEqual({ allowedValues: ['all-traffic', 'private-ranges-only'], deniedValues: ['is:x'] });
    expect((await yaml(`${policies} deny run.allowedVPCEgress ${at}`)).listPolicy).toEqual({ allValues: 'DENY' });
    await expect(actas(`${policies} allow run.allowedVPCEgress x ${at}`)).rejects.toThrow('denies all values');
    const policy = 'constraint: constraints/run.allowedVPCEgress\nrestoreDefault: {}\n';
    expect(await yaml(`${policies} set-policy - ${at}`, { stdin: policy })).toMatchObject({ restoreDefault: {} });
    await actas(`${policies} delete run.allowedVPCEgress ${at}`);
    await expect(actas(`${policies} set-policy - ${at}`, { stdin: 'listPolicy: {}' })).rejects.toThrow('does not hold a policy with a constraint');
  });
});

describe('org-policies', () => {
  test('set-policy creates, then replaces; reset; list; describe; delete', async () => {
    const id = 'iam.disableServiceAccountCreation';
    const file = (body: string) => ({ stdin: `name: projects/demo/policies/${id}\n${body}` });
    expect(await yaml('org-policies set-policy -', file('spec: {rules: [{enforce: true}]}'))).toMatchObject({ spec: { rules: [{ enforce: true }] } });
    const dry = await yaml('org-policies set-policy - --update-mask=policy.dry_run_spec', file('dryRunSpec: {rules: [{enforce: false}]}'));
    expect(dry).toMatchObject({ name: `projects/123456789012/policies/${id}`, spec: { rules: [{ enforce: true }] }, dryRunSpec: { rules: [{ enforce: false }] } });
    expect(await actas('org-policies list')).toMatch(new RegExp(`^CONSTRAINT +LIST_POLICY +BOOLEAN_POLICY +DRY_RUN +ETAG\n${id} +- +SET +SET +\\S+\n$`));
    expect((await yaml(`org-policies reset ${id} --project=demo`)).spec).toMatchObject({ reset: true });
    expect((await yaml(`org-policies describe ${id} --effective`)).spec).toEqual({ rules: [{ enforce: false }] });
    await actas(`org-policies delete ${id}`);
    await expect(actas(`org-policies describe ${id}`)).rejects.toThrow('Requested entity was not found.');
    expect((await actas('org-policies list --show-unset --format=value(name)')).split('\n')).toContain('projects/123456789012/policies/gcp.resourceLocations');
    await expect(actas('org-policies set-policy -', { stdin: 'spec: {}' })).rejects.toThrow('does not hold a policy with a name');
  });

  test('custom constraints', async () => {
    const at = '--organization=111111111111';
    const constraint = (limit: number) =>
      `name: organizations/111111111111/customConstraints/custom.small\nresourceTypes: [run.googleapis.com/Job]\nmethodTypes: [CREATE]\ncondition: resource.spec.template.spec.taskCount > ${limit}\nactionType: DENY\n`;
    expect(await yaml('org-policies set-custom-constraint -', { stdin: constraint(1) })).toMatchObject({ actionType: 'DENY' });
    expect((await yaml('org-policies set-custom-constraint -', { stdin: constraint(2) })).condition).toContain('> 2');
    expect((await yaml(`org-policies describe-custom-constraint custom.small ${at}`)).condition).toContain('> 2');
    expect(await actas(`org-policies list-custom-constraints ${at} --format=value(name.basename())`)).toBe('custom.small\n');
    await actas(`org-policies delete-custom-constraint custom.small ${at}`);
    expect(await actas(`org-policies list-custom-constraints ${at} --format=value(name)`)).toBe('');
    await expect(actas('org-policies list-custom-constraints')).rejects.toThrow("required option '--organization <id>'");
  });
});
