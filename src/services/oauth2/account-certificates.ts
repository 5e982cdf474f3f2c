/** The public keys of one service account, as those who were sent something that it signed ask for them. */
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { notFound } from '../../errors.ts';
import { AccountCertificates } from '../../gen/google/oauth2/oauth2_pb.js';
import type { AccountKeys, PublishedKey } from '../../identity/account-keys.ts';
import type { Store } from '../../store/database.ts';
import { findServiceAccount } from '../../store/service-accounts.ts';
import { type AnyService, defineService } from '../service.ts';

export interface CertificateDeps {
  readonly store: Store;
  readonly identity: { readonly accountKeys: Pick<AccountKeys, 'published'> };
}

/** Keys are public, and so is at Google whether an account of this name has any. */
const PUBLIC = { public: true, why: 'public keys are for everybody who was sent a signature' } as const;

export function createCertificateService({ store, identity }: CertificateDeps): AnyService {
  const published = async (account: string): Promise<readonly PublishedKey[]> => {
    const email = (await findServiceAccount(store.read, account))?.email;
    const found = email === undefined ? undefined : await identity.accountKeys.published(email);
    if (found === undefined) throw notFound('Requested entity was not found.');
    return found.keys;
  };
  return defineService<typeof AccountCertificates>({
    desc: AccountCertificates,
    host: 'www.googleapis.com',
    legacyErrors: false,
    denied: () => 'Not authorized.',
    methods: {
      getX509: {
        access: PUBLIC,
        // One that was uploaded without a certificate has none to show.
        handle: async ({ account }) => struct((await published(account)).flatMap((key) => (key.pem.includes('BEGIN CERTIFICATE') ? [[key.id, key.pem] as const] : []))),
      },
      getRaw: {
        access: PUBLIC,
        handle: async ({ account }) => struct((await published(account)).map((key) => [key.id, key.publicKey.export({ type: 'spki', format: 'pem' })] as const)),
      },
      getJwk: {
        access: PUBLIC,
        handle: async ({ account }) => struct([['keys', (await published(account)).map(toJwk)]]),
      },
    },
  });
}

/** A map at the top of an answer, which no message of its own could have. */
function struct(entries: readonly (readonly [string, JsonObject[] | string])[]) {
  return fromJson(StructSchema, Object.fromEntries(entries));
}

function toJwk(key: PublishedKey): JsonObject {
  const { n = '', e = '' } = key.publicKey.export({ format: 'jwk' });
  return { kty: 'RSA', alg: 'RS256', use: 'sig', kid: key.id, n, e };
}
