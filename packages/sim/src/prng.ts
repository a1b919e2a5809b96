import { createHash } from 'node:crypto'
import type { Random } from '@atoll/core'
import { wrongRange } from '@atoll/core'

const TWO_32 = 2 ** 32

/**
 * xoshiro128** 1.1 (Blackman and Vigna, 2018): 32-bit integers only, so that every machine draws the same numbers.
 * A generator is named by its path from the seed, and forks do not depend on what was drawn before: one draw more in
 * one part of a world changes nothing in the others.
 */
export class Prng implements Random {
  readonly path: string
  readonly #state: Uint32Array

  constructor(path: string) {
    this.path = path
    const digest = createHash('sha256').update(path).digest()
    this.#state = Uint32Array.from([0, 4, 8, 12], (at) => digest.readUInt32LE(at))
  }

  fork(name: string): Prng {
    return new Prng(`${this.path}/${name}`)
  }

  /** A uniform integer from 0 to 2^32 - 1. */
  next(): number {
    let [a = 0, b = 0, c = 0, d = 0] = this.#state
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    this.#state[0] = a
    this.#state[1] = b
    this.#state[2] = c
    this.#state[3] = d
    return result
  }

  below(limit: number): number {
    if (!Number.isInteger(limit) || limit < 1 || limit > TWO_32) {
      throw wrongRange('limit', `must be an integer from 1 to 2^32, got ${limit}`)
    }
    // Draws from the incomplete last interval would make small numbers likelier.
    const fair = TWO_32 - (TWO_32 % limit)
    let drawn = this.next()
    while (drawn >= fair) drawn = this.next()
    return drawn % limit
  }

  /** A uniform integer from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1)
  }

  /** True in `permille` of 1000 draws. */
  chance(permille: number): boolean {
    return this.below(1000) < permille
  }

  pick<T>(items: readonly T[]): T {
    const [item] = this.sample(items, 1)
    if (item === undefined) throw wrongRange('items', 'must have at least one to pick from')
    return item
  }

  /** `count` different members of `items`, or all of them, in random order. */
  sample<T>(items: readonly T[], count: number): T[] {
    const pool = [...items]
    const drawn: T[] = []
    while (drawn.length < count && pool.length > 0) drawn.push(...pool.splice(this.below(pool.length), 1))
    return drawn
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let at = 0, word = 0; at < length; at++) {
      word = at % 4 === 0 ? this.next() : word >>> 8
      bytes[at] = word
    }
    return bytes
  }
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}
