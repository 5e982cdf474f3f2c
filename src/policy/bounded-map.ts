/**
 * A cache of bounded size that keeps what is asked for. Entries live in two generations: a hit in the older one moves to the younger,
 * and when that is full the older one is dropped whole. (Deleting the oldest key of one Map costs more with every deletion: its holes are walked over each time.)
 */
export class BoundedMap<V> {
  readonly #limit: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  /** @param limit entries kept for certain; at most twice as many are held */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: V): void {
    if (this.#young.size >= this.#limit && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  /** How many entries are held. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
