/** Who a token stands for, in the two shapes that clients know. */
import { createHash } from 'node:crypto';
import { OpenIdConnect, UserInfo } from '../../gen/google/oauth2/oauth2_pb.js';
import { type AnyService, type Call, defineService } from '../service.ts';

const AUTH = 'https://www.googleapis.com/auth/';
/** Any of these opens the endpoint; an address is shown for those of the second list. */
const SCOPES = ['openid', 'email', 'profile', `${AUTH}userinfo.email`, `${AUTH}userinfo.profile`, `${AUTH}cloud-platform`];
const EMAIL_SCOPES: ReadonlySet<string> = new Set(['email', `${AUTH}userinfo.email`, `${AUTH}cloud-platform`]);

/**
 * Deviation: a token for cloud-platform alone shows its address as well; Google wants userinfo.email. Who holds it could read the address from
 * any denial.
 */
export function showsEmail(scopes: readonly string[] | undefined): boolean {
  return scopes === undefined || scopes.some((scope) => EMAIL_SCOPES.has(scope));
}

/** A service account's unique id; for a user, whose number only Google knows, digits that are always the same for the same address. */
export function subjectOf({ member, uniqueId }: { readonly member: string; readonly uniqueId: string | undefined }): string {
  if (uniqueId !== undefined) return uniqueId;
  const digits = BigInt(`0x${createHash('sha256').update(member).digest('hex')}`) % 10n ** 20n;
  return `1${digits.toString().padStart(20, '0')}`;
}

const ACCESS = { authenticated: true, why: 'Says only who the caller is.' } as const;
const COMMON = { legacyErrors: false, scopes: SCOPES, denied: () => 'Not authorized.' } as const;

export function createUserInfoService(): AnyService {
  return defineService<typeof UserInfo>({
    ...COMMON,
    desc: UserInfo,
    host: 'www.googleapis.com',
    methods: {
      getUserInfo: {
        access: ACCESS,
        async handle(_request, call) {
          const { sub, email } = userOf(call);
          return { id: sub, ...(email === undefined ? {} : { email, verifiedEmail: true }) };
        },
      },
      getOpenIdUserInfo: { access: ACCESS, handle: async (_request, call) => userOf(call) },
    },
  });
}

export function createOpenIdConnectService(): AnyService {
  return defineService<typeof OpenIdConnect>({
    ...COMMON,
    desc: OpenIdConnect,
    host: 'openidconnect.googleapis.com',
    methods: { getUserInfo: { access: ACCESS, handle: async (_request, call) => userOf(call) } },
  });
}

function userOf({ principal: { member, email, uniqueId, scopes } }: Call): { sub: string; email?: string; emailVerified?: boolean } {
  const sub = subjectOf({ member, uniqueId });
  return showsEmail(scopes) ? { sub, email, emailVerified: true } : { sub };
}
