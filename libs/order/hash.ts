/**
 * A running hash over what the machine applied: 64 bits in two multiplicative lanes (the mixing of
 * MurmurHash3's finalizer, each lane with constants of its own). It finds replicas that went apart
 * by accident; it is no defence against one that lies.
 */

const TWO_32 = 0x1_0000_0000;

export class RunningHash {
  #high = 0x6d65_7269;
  #low = 0x6469_616e;

  /** A 32-bit word. */
  word(value: number): void {
    let high = Math.imul(this.#high ^ value, 0x85eb_ca6b);
    high ^= high >>> 13;
    let low = Math.imul(this.#low ^ (value + high), 0xc2b2_ae35);
    low ^= low >>> 16;
    this.#high = Math.imul(high ^ low, 0x9e37_79b1);
    this.#low = low;
  }

  /** A safe integer. */
  number(value: number): void {
    this.word(value | 0);
    this.word((value / TWO_32) | 0);
  }

  /** The two words of the state, to go on from elsewhere. */
  get state(): readonly [high: number, low: number] {
    return [this.#high >>> 0, this.#low >>> 0];
  }

  set state([high, low]: readonly [high: number, low: number]) {
    this.#high = high | 0;
    this.#low = low | 0;
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

/** 32 bits of a name (FNV-1a over UTF-16 units), computed once per stream. */
export function fingerprint(name: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < name.length; i += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x0100_0193);
  }
  return hash;
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
