/** Members as numbers, so that a decision compares no text; and which bindings or rules of a policy name which member. */

/** Gives each member that stands in a policy a number. It only grows, until the caches that hold its numbers are thrown away with it. */
export class MemberNumbers {
  readonly #numbers = new Map<string, number>();
  /** By number. */
  readonly names: string[] = [];

  /** @param member in normal form */
  number(member: string): number {
    const known = this.#numbers.get(member);
    if (known !== undefined) return known;
    const next = this.#numbers.size;
    this.#numbers.set(member, next);
    this.names.push(member);
    return next;
  }

  /** Undefined: no policy that was read names it. */
  find(member: string): number | undefined {
    return this.#numbers.get(member);
  }

  get size(): number {
    return this.#numbers.size;
  }
}

const NONE = -1;

/** Which members may be among a caller's names, in 256 bits: most members of a policy are not, and that is seen without going through the names. */
export type MemberFilter = Int32Array;
const FILTER_WORDS = 8;

export function createMemberFilter(): MemberFilter {
  return new Int32Array(FILTER_WORDS);
}

export function addToFilter(filter: MemberFilter, member: number): void {
  const bit = scatter(member) & (FILTER_WORDS * 32 - 1);
  filter[bit >>> 5] = (filter[bit >>> 5] ?? 0) | (1 << (bit & 31));
}

/** False: certainly not. */
export function mayHave(filter: MemberFilter, member: number): boolean {
  const bit = scatter(member) & (FILTER_WORDS * 32 - 1);
  return ((filter[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
}

/**
 * For each member number the list of what names it (positions of entries), in one open-addressed table of integers:
 * a decision looks a dozen members up in a dozen policies, and a Map would take most of its time.
 */
export class MemberIndex {
  private readonly mask: number;
  /** Pairs: member number, where its list begins in `items`. */
  private readonly slots: Int32Array;
  /** Lists one behind the other, each ended by -1. */
  readonly items: Int32Array;
  /** Beside each item, what the maker of the index wants to know of it before anything else. */
  readonly labels: Int32Array;
  /** How many words of 32 bits have room for a bit of each label. */
  readonly labelWords: number;

  /** @param members of which `members[i]` is named by the entry at i, whose label is `labels[i]`; a member may be named often */
  constructor(members: readonly number[], labels: readonly number[]) {
    let size = 4;
    while (size < members.length * 2) size *= 2;
    this.mask = size - 1;
    this.slots = new Int32Array(size * 2).fill(NONE);
    const slotOf = new Int32Array(members.length);
    const counts = new Int32Array(size);
    let distinct = 0;
    for (let i = 0; i < members.length; i++) {
      const member = members[i] ?? NONE;
      let slot = scatter(member) & this.mask;
      while (this.slots[slot * 2] !== NONE && this.slots[slot * 2] !== member) slot = (slot + 1) & this.mask;
      if (this.slots[slot * 2] === NONE) distinct++;
      this.slots[slot * 2] = member;
      slotOf[i] = slot;
      counts[slot] = (counts[slot] ?? 0) + 1;
    }
    this.items = new Int32Array(members.length + distinct).fill(NONE);
    this.labels = new Int32Array(this.items.length);
    this.labelWords = (labels.reduce((most, label) => Math.max(most, label), 0) >>> 5) + 1;
    const next = new Int32Array(size);
    let begin = 0;
    for (let slot = 0; slot < size; slot++) {
      if (this.slots[slot * 2] === NONE) continue;
      this.slots[slot * 2 + 1] = begin;
      next[slot] = begin;
      begin += (counts[slot] ?? 0) + 1;
    }
    for (let i = 0; i < members.length; i++) {
      const slot = slotOf[i] ?? 0;
      const at = next[slot] ?? 0;
      this.items[at] = i;
      this.labels[at] = labels[i] ?? 0;
      next[slot] = at + 1;
    }
  }

  /** Where the list of a member begins in `items`, or -1. */
  find(member: number): number {
    const { slots, mask } = this;
    let slot = scatter(member) & mask;
    for (;;) {
      const found = slots[slot * 2];
      if (found === NONE) return NONE;
      if (found === member) return slots[slot * 2 + 1] ?? NONE;
      slot = (slot + 1) & mask;
    }
  }
}

function scatter(member: number): number {
  const mixed = Math.imul(member, 0x9e37_79b1);
  return mixed ^ (mixed >>> 15);
}
