/** Secrets for tasks: read as the job's account, by its grants, with an entry in the audit trail as a call of the account's would leave. */
import { randomUUID } from 'node:crypto';
import { STATUS } from '../errors.ts';
import type { Authorizer } from '../policy/authorizer.ts';
import { type SecretReader, type SecretReference, SecretRefused, type SecretUser } from '../runner/task-secrets.ts';
import type { Store } from '../store/database.ts';
import type { LogStore } from '../store/log-store.ts';
import { PayloadCorrupt } from '../store/payload-cipher.ts';
import { findProject } from '../store/projects.ts';
import type { SecretKeyring } from '../store/secret-keyring.ts';
import { findSecretVersion, isEnabled, readPayload, type SecretVersionRow, versionNumber } from '../store/secret-versions.ts';
import { findSecret, type SecretRow, secretResource } from '../store/secrets.ts';
import { findServiceAccount } from '../store/service-accounts.ts';
import { type Clock, systemClock } from '../timestamp.ts';

const PERMISSION = 'secretmanager.versions.access';
const METHOD = 'google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion';

interface Parts {
  readonly store: Store;
  readonly logs: Pick<LogStore, 'audit'>;
  readonly authorizer: Pick<Authorizer, 'decide'>;
  readonly keyring: SecretKeyring;
  readonly clock?: Clock;
}

interface Found {
  /** `projects/NUMBER/secrets/S/versions/V` */
  readonly shown: string;
  readonly secret: SecretRow;
  readonly row: SecretVersionRow;
}

export function createTaskSecrets({ store, logs, authorizer, keyring, clock = systemClock }: Parts): SecretReader {
  /** @param audited whether this is the reading itself, and not a question about it */
  const find = async (user: SecretUser, reference: SecretReference, audited: boolean): Promise<Found> => {
    const { project, name, shown } = await placeOf(user, reference);
    const member = `serviceAccount:${user.account}`;
    const resource = secretResource(`projects/${project}/${shown.split('/').slice(2).join('/')}`);
    const granted = (await authorizer.decide({ member, permission: PERMISSION, resource, time: clock.now() })).allowed;
    const account = await findServiceAccount(store.read, user.account);
    const allowed = granted && account !== undefined && account.disabled === 0;
    if (audited)
      logs.audit({
        parent: `projects/${project}`,
        // Always, and not only where an auditConfig asks for it: what a task was given is what people look for.
        log: 'data_access',
        service: 'secretmanager.googleapis.com',
        timeMicros: clock.now(),
        principal: member,
        delegation: [],
        method: METHOD,
        resource,
        permissions: [{ permission: PERMISSION, resource, granted }],
        status: allowed ? 'OK' : 'PERMISSION_DENIED',
        code: allowed ? 0 : STATUS.PERMISSION_DENIED.code,
        message: '',
        latencyMs: 0,
        requestId: randomUUID(),
        door: 'internal',
        peer: '',
        userAgent: '',
      });
    if (granted && account?.disabled === 1) throw new SecretRefused('denied', `Service account ${user.account} is disabled, so it cannot read secret ${shown}.`);
    // Recorded of services, https://github.com/terraform-google-modules/terraform-docs-samples/pull/168; what Google says of jobs is not on record.
    if (!allowed)
      throw new SecretRefused(
        'denied',
        `Permission denied on secret: ${shown} for Revision service account ${user.account}. The service account used must be granted the 'Secret Manager Secret Accessor' role (roles/secretmanager.secretAccessor) at the secret, project or higher level.`,
      );
    const now = clock.now();
    const secret = await findSecret(store.read, name, now);
    const number = secret === undefined ? undefined : versionNumber(reference.version, secret);
    const row = secret === undefined || number === undefined ? undefined : await findSecretVersion(store.read, secret.name, number);
    // Recorded of jobs: https://github.com/hashicorp/terraform-provider-google/issues/15088
    if (secret === undefined || row === undefined) throw new SecretRefused('missing', `Secret ${shown} was not found`);
    return { shown, secret, row };
  };
  const placeOf = async ({ projectId }: SecretUser, { secret, version }: SecretReference) => {
    const [, named = projectId, , id = secret] = secret.includes('/') ? secret.split('/') : [];
    const project = await findProject(store.read, named);
    return {
      project: project?.project_id ?? named,
      name: `projects/${project?.project_id ?? named}/secrets/${id}`,
      shown: `projects/${project?.number ?? named}/secrets/${id}/versions/${version}`,
    };
  };
  return {
    async check(user, reference) {
      await find(user, reference, false);
    },
    async read(user, reference) {
      const { shown, secret, row } = await find(user, reference, true);
      if (!isEnabled(row, clock.now())) throw new SecretRefused('unreadable', `Secret ${shown} is not enabled, so it cannot be read.`);
      try {
        return await readPayload(store.read, keyring, secret, row.version);
      } catch (error) {
        if (error instanceof PayloadCorrupt)
          throw new SecretRefused('unreadable', `Secret ${shown} cannot be decrypted: what is stored is not what was written (${error.message}).`);
        throw error;
      }
    },
  };
}
