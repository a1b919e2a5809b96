/** Xorshift (Marsaglia 2003) from a fixed seed: a claim is a function of its input, the same on every node. */
export class Dice {
  #state = 0x2545f491

  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number {
    let state = this.#state
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.#state = state
    return (state >>> 0) % limit
  }
}
