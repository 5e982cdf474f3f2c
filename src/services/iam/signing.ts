/** The older signing methods of google.iam.admin.v1, deprecated in favour of google.iam.credentials.v1 and still called. */
import { failedPrecondition, invalidArgument } from '../../errors.ts';
import type { IAM } from '../../gen/google/iam/admin/v1/iam_pb.js';
import type { AccountKeys } from '../../identity/account-keys.ts';
import { checkClaims } from '../../identity/jwt-claims.ts';
import type { Store } from '../../store/database.ts';
import { isServiceAccountActive } from '../../store/service-accounts.ts';
import type { Methods } from '../service.ts';
import { accountCheck, getAccount } from './service-accounts.ts';

export interface SigningDeps {
  readonly store: Store;
  readonly accountKeys: Pick<AccountKeys, 'sign' | 'signJwt'>;
}

export function signingMethods({ store, accountKeys }: SigningDeps): Pick<Methods<typeof IAM>, 'signBlob' | 'signJwt'> {
  /** @throws NOT_FOUND, FAILED_PRECONDITION */
  const signerOf = async (name: string): Promise<string> => {
    const { email } = await getAccount(store.read, name);
    if (!(await isServiceAccountActive(store.read, email))) throw failedPrecondition(`Service account ${email} is disabled.`);
    return email;
  };
  return {
    signBlob: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccounts.signBlob', name, look)] },
      async handle({ name, bytesToSign }) {
        if (bytesToSign.length === 0) throw invalidArgument('bytes_to_sign', 'required field not present.');
        const signed = await accountKeys.sign(await signerOf(name), bytesToSign);
        if (signed === undefined) throw failedPrecondition('The service account was deleted meanwhile.');
        return { keyId: signed.keyId, signature: new Uint8Array(signed.signature) };
      },
    },
    signJwt: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccounts.signJwt', name, look)] },
      async handle({ name, payload }, call) {
        const claims = checkClaims(payload, call.now(), { addExpiry: true });
        const signed = await accountKeys.signJwt(await signerOf(name), claims);
        if (signed === undefined) throw failedPrecondition('The service account was deleted meanwhile.');
        return { keyId: signed.keyId, signedJwt: signed.jwt };
      },
    },
  };
}
