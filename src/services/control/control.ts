/**
 * actas's own API: tokens for the owner of the data directory, and the status that `actas status` prints. Kept as small as it can
 * be: whatever Google's APIs can say is said through them.
 */
import { failedPrecondition, forbidden } from '../../errors.ts';
import { Control } from '../../gen/actas/v1/control_pb.js';
import type { IssuedToken } from '../../identity/issue.ts';
import { type Principal, parsePrincipal } from '../../identity/principal.ts';
import type { Rewrapped } from '../../store/secret-key-rotation.ts';
import { KeyringError } from '../../store/secret-keyring.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import { type AnyService, defineService } from '../service.ts';

/** What a running control plane says of itself. */
export interface StatusFacts {
  readonly version: string;
  readonly project: string;
  readonly url: string;
  readonly startTime: Micros;
  readonly driver: { readonly name: string; readonly description: string; readonly warnings: readonly string[]; readonly available: boolean };
  readonly anonymousAs: string;
  readonly runningAttempts: number;
  readonly openExecutions: number;
  readonly dataDir: string;
  readonly pid: number;
  /** Where Google's API names lead tasks, in words. */
  readonly taskGoogleNames: string;
}

export interface ControlDeps {
  /** @throws FAILED_PRECONDITION for an account that cannot be spoken for */
  mint(principal: Principal, options: { readonly withRefreshToken: boolean }): Promise<IssuedToken>;
  /** False where people sign in elsewhere and nobody is to speak for them (`issueTokens` of the configuration). */
  readonly issuesTokens: boolean;
  status(): StatusFacts;
  /** @throws KeyringError where the keys are not this program's to change, or their file cannot be written */
  rotateSecretsKey(): Promise<Rewrapped>;
}

export function createControlService(deps: ControlDeps): AnyService {
  return defineService<typeof Control>({
    desc: Control,
    host: 'actas.internal',
    legacyErrors: false,
    denied: (check) => `Permission '${check.permission}' denied on resource '${check.asked}' (or it may not exist).`,
    methods: {
      issueToken: {
        access: { authenticated: true, why: 'the handler admits only the holder of the owner token, which no policy can grant' },
        async handle(request, call) {
          if (call.principal.administrator !== true) throw forbidden('Only the owner of this data directory can issue tokens. Use the token in its file owner-token.');
          if (!deps.issuesTokens) throw forbidden('This control plane issues no tokens for others: issueTokens is off in its configuration.');
          const principal = parsePrincipal(request.principal);
          const { token, expireTime, refreshToken = '' } = await deps.mint(principal, request);
          return { accessToken: token, principal: principal.member, refreshToken, ...(expireTime === null ? {} : { expireTime: toTimestamp(expireTime) }) };
        },
      },
      rotateSecretsKey: {
        access: { authenticated: true, why: 'the handler admits only the holder of the owner token, which no policy can grant' },
        async handle(_request, call) {
          if (call.principal.administrator !== true) throw forbidden('Only the owner of this data directory can change its keys. Use the token in its file owner-token.');
          try {
            const { keyId, rewrapped, damaged } = await deps.rotateSecretsKey();
            return { keyId, rewrapped, damaged: [...damaged] };
          } catch (error) {
            if (error instanceof KeyringError) throw failedPrecondition(error.message);
            throw error;
          }
        },
      },
      getStatus: {
        access: { authenticated: true, why: 'says nothing about any resource' },
        async handle(_request, call) {
          const { dataDir, pid, startTime, driver, ...facts } = deps.status();
          const own = call.principal.administrator === true ? { dataDir, pid } : {};
          return { ...facts, ...own, principal: call.principal.member, startTime: toTimestamp(startTime), driver: { ...driver, warnings: [...driver.warnings] } };
        },
      },
    },
  });
}
