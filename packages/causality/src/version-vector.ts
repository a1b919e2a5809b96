import type { ActorId, Dot, VersionVector } from './record.ts'

/** How two histories stand to each other. */
export type VectorOrder = 'equal' | 'before' | 'after' | 'concurrent'

/** True if `vector` knows the event `dot`. */
export function covers(vector: VersionVector, dot: Dot): boolean {
  return (vector.get(dot.actor) ?? 0) >= dot.counter
}

/** True if `a` knows every event that `b` knows. */
export function descends(a: VersionVector, b: VersionVector): boolean {
  for (const [actor, counter] of b) {
    if ((a.get(actor) ?? 0) < counter) return false
  }
  return true
}

/** `before` means that `b` knows all that `a` knows, and more. */
export function compareVectors(a: VersionVector, b: VersionVector): VectorOrder {
  const knowsB = descends(a, b)
  const knowsA = descends(b, a)
  if (knowsA && knowsB) return 'equal'
  if (knowsA) return 'before'
  return knowsB ? 'after' : 'concurrent'
}

export function clocksEqual(a: VersionVector, b: VersionVector): boolean {
  return descends(a, b) && descends(b, a)
}

/** The events that `a` or `b` knows. Answers `a` or `b` itself if that knows them all. */
export function mergeVectors(a: VersionVector, b: VersionVector): VersionVector {
  if (descends(a, b)) return a
  if (descends(b, a)) return b
  const merged = new Map<ActorId, number>(a)
  for (const [actor, counter] of b) merged.set(actor, Math.max(counter, merged.get(actor) ?? 0))
  return merged
}

/** Dots by actor, then counter: the order in which a record keeps its siblings. */
export function compareDots(a: Dot, b: Dot): number {
  if (a.actor !== b.actor) return a.actor < b.actor ? -1 : 1
  return a.counter - b.counter
}

/** The entries of a vector in the order of their actors: the one order in which it is written and digested. */
export function sortedEntries(vector: VersionVector): (readonly [ActorId, number])[] {
  return [...vector].sort(([a], [b]) => (a < b ? -1 : 1))
}
