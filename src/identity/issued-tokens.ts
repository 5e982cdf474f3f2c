/**
 * Tokens that are handed out again until shortly before they end, in memory alone: by account, and within it by what a token is for. Whoever asks while
 * one is being made waits for the same one, so that a hundred tasks that start together ask once.
 */
import { resourceExhausted } from '../errors.ts';
import { type Clock, MICROS_PER_SECOND, type Micros } from '../timestamp.ts';

export interface Issued {
  readonly token: string;
  readonly expireTime: Micros;
}

export interface IssuedTokens {
  /**
   * @param account no token of one is ever handed to another
   * @param make asked where there is none that lasts; what it throws is everybody's who waits, and the next one tries again
   * @param what of which an account may have so many, for people @throws RESOURCE_EXHAUSTED, and what `make` throws
   */
  get(account: string, purpose: string, make: () => Promise<Issued>, what: string): Promise<{ token: string; expiresInSeconds: number }>;
  /** Forgets a token wherever it is. */
  drop(token: string): Promise<void>;
  /** Forgets those that have ended. */
  dropEnded(): Promise<void>;
}

/** Clients treat a token as stale from 3 min 45 s before its end (Java) or 4 minutes (Python): what we hand out must last longer. */
const RENEW_BEFORE = 5 * 60 * MICROS_PER_SECOND;

/** @param most purposes that an account may have tokens for at once */
export function createIssuedTokens(clock: Clock, most: number): IssuedTokens {
  const issued = new Map<string, Map<string, Promise<Issued>>>();
  const isFresh = (entry: Issued): boolean => entry.expireTime - clock.now() > RENEW_BEFORE;
  return {
    async get(account, purpose, make, what) {
      const ofAccount = issued.get(account) ?? new Map<string, Promise<Issued>>();
      issued.set(account, ofAccount);
      let pending = ofAccount.get(purpose);
      let current = await pending;
      if (current === undefined || !isFresh(current)) {
        // Somebody who waited with us may have renewed it meanwhile.
        if (ofAccount.get(purpose) === pending) {
          if (pending === undefined && ofAccount.size >= most) await dropStale(ofAccount, isFresh);
          if (!ofAccount.has(purpose) && ofAccount.size >= most) throw resourceExhausted(`More than ${most} ${what}.`);
          const renewed = make();
          renewed.catch(() => {
            if (ofAccount.get(purpose) === renewed) ofAccount.delete(purpose);
          });
          ofAccount.set(purpose, renewed);
        }
        pending = ofAccount.get(purpose);
        current = await pending;
      }
      if (current === undefined) throw resourceExhausted('The token was revoked while it was being made. Retry.');
      return { token: current.token, expiresInSeconds: Math.floor((current.expireTime - clock.now()) / MICROS_PER_SECOND) };
    },
    async drop(token) {
      for (const ofAccount of issued.values()) for (const [purpose, pending] of ofAccount) if ((await pending.catch(() => undefined))?.token === token) ofAccount.delete(purpose);
    },
    async dropEnded() {
      for (const [account, ofAccount] of issued) {
        await dropStale(ofAccount, (entry) => entry.expireTime > clock.now());
        if (ofAccount.size === 0) issued.delete(account);
      }
    },
  };
}

async function dropStale(ofAccount: Map<string, Promise<Issued>>, isFresh: (entry: Issued) => boolean): Promise<void> {
  for (const [purpose, pending] of ofAccount) {
    const entry = await pending.catch(() => undefined);
    if ((entry === undefined || !isFresh(entry)) && ofAccount.get(purpose) === pending) ofAccount.delete(purpose);
  }
}
