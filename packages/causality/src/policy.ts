import type { Sibling } from './record.ts'

/**
 * How several writes of a key become what a reader sees.
 * - `siblings`: all that were concurrent; the reader decides.
 * - `last-write-wins`: the one with the greatest (timestamp, actor, counter), the same on every replica.
 * - `merge`: a pure, commutative, associative and idempotent function of their values, applied when read; replicas
 *   keep siblings, so nothing is merged away by a program that lacks the function.
 * - `write-once`: the first value is the only one; written without a read. Different values of one key, a fault of
 *   the writer, converge to one.
 */
export type MergePolicy =
  | { readonly kind: 'siblings' }
  | { readonly kind: 'last-write-wins' }
  | { readonly kind: 'merge'; readonly name: string; readonly merge: MergeFunction }
  | { readonly kind: 'write-once' }

/** Gets at least two live siblings in the order of their dots, and answers the value that stands for them all. */
export type MergeFunction = (siblings: readonly Sibling[]) => Uint8Array
