/**
 * States what must be true here. Assertions stay on in production: a store that has lost its invariants must stop
 * before it writes.
 */
export function assert(condition: unknown, reason: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${reason}`)
}
