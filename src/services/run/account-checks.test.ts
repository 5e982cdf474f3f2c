/** Which accounts a job may be given, and run as: another project's, disabled ones, those that are gone. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isApiError } from '../../errors.ts';
import { Jobs } from '../../gen/google/cloud/run/v2/job_pb.js';
import { deleteServiceAccount, findServiceAccount, updateServiceAccount } from '../../store/service-accounts.ts';
import { createFixture, DEFAULT_ACCOUNT, type Fixture, HELLO, PARENT } from './run-fixture.ts';

const FAR = 'far@other.iam.gserviceaccount.com';
const LOCAL = 'hello@demo.iam.gserviceaccount.com';
const AGENT = 'service-123456789012@serverless-robot-prod.iam.gserviceaccount.com';
const MAY_MINT = `serviceAccount:${AGENT} iam.serviceAccounts.getAccessToken`;
const CONSTRAINT = 'iam.disableCrossProjectServiceAccountUsage //cloudresourcemanager.googleapis.com/projects/other';

let f: Fixture;
beforeEach(async () => {
  f = await createFixture();
});
afterEach(() => f.close());

const jobAs = (serviceAccount: string) => ({ template: { template: { ...HELLO.template.template, serviceAccount } } });
const create = (serviceAccount: string) => f.call(Jobs, 'createJob', { parent: PARENT, jobId: 'j', job: jobAs(serviceAccount) });
const update = (serviceAccount: string) => f.call(Jobs, 'updateJob', { job: { name: `${PARENT}/jobs/j`, ...jobAs(serviceAccount) } });
const runIt = (validateOnly = false) => f.call(Jobs, 'runJob', { name: `${PARENT}/jobs/j`, validateOnly });
async function remedyOf(failing: Promise<unknown>): Promise<string> {
  try {
    await failing;
  } catch (error) {
    if (!isApiError(error)) throw error;
    return error.details.flatMap((detail) => (detail.type === 'google.rpc.LocalizedMessage' ? detail.value.message : [])).join();
  }
  throw new Error('nothing was refused');
}
async function disable(email: string, disabled: 0 | 1): Promise<void> {
  await f.store.write(async (tx) => updateServiceAccount(tx.db, (await findServiceAccount(tx.db, email))?.unique_id ?? '', { disabled }));
}
async function remove(email: string): Promise<void> {
  await f.store.write(async (tx) => {
    const row = await findServiceAccount(tx.db, email);
    if (row !== undefined) await deleteServiceAccount(tx.db, row, f.now);
  });
}

const CROSS = {
  status: 'FAILED_PRECONDITION',
  message: 'Constraint constraints/iam.disableCrossProjectServiceAccountUsage violated for project demo attempting to use a service account from a different project.',
};
const AGENT_DENIED = {
  status: 'PERMISSION_DENIED',
  message:
    `Google Cloud Run Service Agent does not have permission to get access tokens for the service account ${FAR}. Please give ${AGENT} permission iam.serviceAccounts.getAccessToken on the service account. ` +
    'Alternatively, if the service account is unspecified or in the same project you are deploying in, ensure that the Service Agent is assigned the Google Cloud Run Service Agent role roles/run.serviceAgent.',
};

describe("another project's account", () => {
  it('needs actAs, then the constraint off, then the grant of the agent: each missing one has its own words and command', async () => {
    f.denied.add('iam.serviceAccounts.actAs').add(MAY_MINT);
    await expect(create(FAR)).rejects.toMatchObject({
      status: 'PERMISSION_DENIED',
      message: `Permission 'iam.serviceaccounts.actAs' denied on service account ${FAR} (or it may not exist).`,
    });
    f.denied.delete('iam.serviceAccounts.actAs');
    await expect(create(FAR)).rejects.toMatchObject(CROSS);
    expect(await remedyOf(create(FAR))).toContain('actas resource-manager org-policies disable-enforce iam.disableCrossProjectServiceAccountUsage --project=other');
    f.lifted.add(CONSTRAINT);
    await expect(create(FAR)).rejects.toMatchObject(AGENT_DENIED);
    expect(await remedyOf(create(FAR))).toContain(
      `actas iam service-accounts add-iam-policy-binding ${FAR} --project=other --member=serviceAccount:${AGENT} --role=roles/iam.serviceAccountTokenCreator`,
    );
    f.denied.delete(MAY_MINT);
    await create(FAR);
    expect((await f.settle(`${PARENT}/jobs/j`)).template?.template?.serviceAccount).toBe(FAR);
    expect((await runIt()).done).toBe(false);
  });

  it('is asked about again at every update and run, a rehearsal too; a run needs no actAs', async () => {
    f.lifted.add(CONSTRAINT);
    await create(FAR);
    await f.settle(`${PARENT}/jobs/j`);
    f.denied.add('iam.serviceAccounts.actAs');
    f.lifted.clear();
    for (const refused of [runIt(), runIt(true)]) await expect(refused).rejects.toMatchObject(CROSS);
    f.lifted.add(CONSTRAINT);
    f.denied.add(MAY_MINT);
    for (const refused of [runIt(), runIt(true)]) await expect(refused).rejects.toMatchObject(AGENT_DENIED);
    f.denied.delete(MAY_MINT);
    expect((await runIt()).done).toBe(false);
    await expect(update(FAR)).rejects.toMatchObject({ message: expect.stringContaining('iam.serviceaccounts.actAs') });
  });
});

it("the job's own project needs the agent's role, and no constraint is asked about", async () => {
  await create(LOCAL);
  await f.settle(`${PARENT}/jobs/j`);
  f.denied.add(MAY_MINT);
  await expect(runIt()).rejects.toMatchObject({ status: 'PERMISSION_DENIED', message: expect.stringContaining(`get access tokens for the service account ${LOCAL}`) });
  expect(await remedyOf(runIt())).toContain(`actas projects add-iam-policy-binding demo --member=serviceAccount:${AGENT} --role=roles/run.serviceAgent`);
});

it('a disabled account may be attached and run, with a warning', async () => {
  await disable(LOCAL, 1);
  await create(LOCAL);
  const warning = `Service account ${LOCAL} is disabled: tasks that run as it get no tokens until it is enabled.`;
  expect(f.warnings).toEqual([warning]);
  await f.settle(`${PARENT}/jobs/j`);
  await runIt();
  expect(f.warnings).toEqual([warning, warning]);
  f.warnings.length = 0;
  await disable(LOCAL, 0);
  await update(LOCAL);
  await runIt();
  expect(f.warnings).toEqual([]);
});

describe('an account that is gone', () => {
  it('cannot be attached: the ordinary actAs denial, for the default account too', async () => {
    for (const email of [LOCAL, DEFAULT_ACCOUNT]) {
      await remove(email);
      await expect(create(email === LOCAL ? LOCAL : '')).rejects.toMatchObject({
        status: 'PERMISSION_DENIED',
        message: `Permission 'iam.serviceaccounts.actAs' denied on service account ${email} (or it may not exist).`,
      });
    }
  });

  it('ends the runs of its jobs; only who may see the account is told that it does not exist', async () => {
    await create(LOCAL);
    await f.settle(`${PARENT}/jobs/j`);
    await remove(LOCAL);
    const words = { status: 'PERMISSION_DENIED', message: expect.stringContaining(`get access tokens for the service account ${LOCAL}`) };
    await expect(runIt()).rejects.toMatchObject(words);
    expect(await remedyOf(runIt())).toContain('actas iam service-accounts create hello --project=demo');
    f.denied.add('iam.serviceAccounts.get');
    await expect(runIt()).rejects.toMatchObject(words);
    expect(await remedyOf(runIt())).toContain('--role=roles/run.serviceAgent');
  });
});
