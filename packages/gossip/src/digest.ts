/** What is believed of a node. */
export type MemberStatus = 'alive' | 'suspect' | 'dead'

/** All that is known of a node, in few bytes. A value: every change makes another one. */
export interface Digest {
  readonly node: string
  /** Counted up by the node itself only, to refute what is said of it. */
  readonly incarnation: number
  readonly status: MemberStatus
  /** Who accuses it, the first one first; empty unless it is suspect. */
  readonly accusers: readonly string[]
  /** The life of the node that its facts are of. */
  readonly generation: number
  /** How many times it has published in that life. */
  readonly counter: number
  /** The newest version of the document that it was seen to have in that life. */
  readonly documentVersion: number
}

/** Accusers beyond these make nothing surer: the first, and the three confirmations that Lifeguard asks for. */
export const MAX_ACCUSERS = 4

const RANK: Readonly<Record<MemberStatus, number>> = { alive: 0, suspect: 1, dead: 2 }

/** A node of which nothing was heard: alive until it shows otherwise. */
export function newcomer(node: string): Digest {
  const facts = { generation: 0, counter: 0, documentVersion: 0 }
  return { node, incarnation: 0, status: 'alive', accusers: [], ...facts }
}

/**
 * The order of verdicts (SWIM, section 4.2): a higher incarnation wins; within one, death over suspicion over life. A
 * total order, so that all who heard the same believe the same, in whatever order they heard it.
 */
export function compareVerdicts(a: Digest, b: Digest): number {
  return a.incarnation - b.incarnation || RANK[a.status] - RANK[b.status]
}

/** `mine` with the verdict of `theirs` where that wins; `mine` itself if nothing changes. */
export function mergeVerdict(mine: Digest, theirs: Digest): Digest {
  const order = compareVerdicts(theirs, mine)
  if (order < 0) return mine
  if (order > 0) {
    const { incarnation, status, accusers } = theirs
    return { ...mine, incarnation, status, accusers }
  }
  const accusers = mergeAccusers(mine.accusers, theirs.accusers)
  return accusers === mine.accusers ? mine : { ...mine, accusers }
}

/** Whether the facts of `a` are newer than those of `b`. */
export function hasNewerFacts(a: Digest, b: Digest): boolean {
  return a.generation === b.generation ? a.counter > b.counter : a.generation > b.generation
}

/** Whether the holder of `mine` has something to tell the holder of `theirs` beside facts. */
export function isNews(mine: Digest, theirs: Digest): boolean {
  if (compareVerdicts(mine, theirs) > 0) return true
  return mine.generation === theirs.generation && mine.documentVersion > theirs.documentVersion
}

function mergeAccusers(mine: readonly string[], theirs: readonly string[]): readonly string[] {
  if (mine.length >= MAX_ACCUSERS) return mine
  const more = theirs.filter((accuser) => !mine.includes(accuser))
  return more.length === 0 ? mine : [...mine, ...more].slice(0, MAX_ACCUSERS)
}
