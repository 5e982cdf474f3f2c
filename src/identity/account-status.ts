/**
 * Whether a service account may be spoken for right now: tokens of a disabled or deleted account are refused at once, and those of an
 * account that was made again under the same e-mail are the old account's. Asked at every request, so answers are kept until
 * somebody says that accounts changed.
 */
export interface AccountStatus {
  readonly active: boolean;
  /** Undefined for Google-managed agents, which have no row of their own. */
  readonly uniqueId: string | undefined;
}

export interface AccountStatuses {
  get(email: string): AccountStatus | Promise<AccountStatus>;
  /** Every answer from now on is read anew. */
  invalidate(): void;
}

/** More than a machine runs at once; past it the cache starts over. */
const MAX_CACHED = 10_000;

export function createAccountStatuses(load: (email: string) => Promise<AccountStatus>): AccountStatuses {
  let cache = new Map<string, AccountStatus>();
  return {
    get(email) {
      const known = cache.get(email);
      if (known !== undefined) return known;
      // A load that began before an invalidation must not fill the cache that came after it.
      const mine = cache;
      return load(email).then((status) => {
        if (mine === cache) {
          if (cache.size >= MAX_CACHED) cache.clear();
          cache.set(email, status);
        }
        return status;
      });
    },
    invalidate() {
      cache = new Map();
    },
  };
}
