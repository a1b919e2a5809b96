import { checkText } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Move, Refill, RestoredRefill } from './document.ts'
import { isNamed, sourcesOf } from './layout.ts'
import { votersOf } from './voters.ts'

/** What a node says of its data when it opens. */
export interface Life {
  /** A token that was made at this open: 16 to 64 digits of lower-case hexadecimal. */
  readonly generation: string
  /**
   * The generations of this data that the document may know, as far as the data itself knows them; this one need not be
   * there.
   */
  readonly known: readonly string[]
  /** True if an operator says that the data is an older copy. */
  readonly isRestored: boolean
}

/**
 * The document once it knows that the data of `node` has begun another life. If it knew of a life that the data does not
 * know, the data is an older copy: then every other member owes it all that it holds of its partitions, and until they have
 * offered that nobody believes what it says of what it lacks. Answers the same document for a node that is no member.
 */
export function begun(document: ClusterDocument, node: NodeName, life: Life): ClusterDocument {
  const generation = checkGeneration(life.generation)
  const member = document.members.get(node)
  if (member === undefined || member.generation === generation) return document
  const members = new Map(document.members).set(node, { ...member, generation })
  const next = { ...document, epoch: document.epoch + 1, members }
  if (!isOlderCopy(member.generation, life)) return next
  return { ...next, moves: copiedAnew(next, node), refills: withCatchUp(next, node, generation) }
}

/** Whether data that knows of these lives is older than what the document knows. */
export function isOlderCopy(generation: string | undefined, { known, isRestored }: Life): boolean {
  return isRestored || (generation !== undefined && !known.includes(generation))
}

/** Those that have yet to offer an older copy what it lacks, by the node that has it. Nearly always empty. */
export function catchingUp({ refills }: ClusterDocument): ReadonlyMap<NodeName, readonly NodeName[]> {
  return new Map(refills.filter(isRestored).map(({ node, waiting }) => [node, waiting]))
}

/** How many replicas are filled of a bucket type whose n is going up, by its name. Nearly always empty. */
export function filledReplicas({ refills }: ClusterDocument): ReadonlyMap<string, number> {
  return new Map(
    refills.flatMap((refill) => (isRestored(refill) ? [] : [[refill.type, refill.from] as const])),
  )
}

export function isRestored(refill: Refill): refill is RestoredRefill {
  return 'node' in refill
}

export function checkGeneration(value: unknown): string {
  return checkText('generation', value, /^[0-9a-f]{16,64}$/, '16 to 64 digits of lower-case hexadecimal')
}

/** What others have copied to the node already, since it shall hold more, may be gone: those who are up do it again. */
function copiedAnew({ moves, replicas, members }: ClusterDocument, node: NodeName): readonly Move[] {
  return moves.map((move) => {
    if (move.kind !== 'add' || move.to !== node) return move
    return { ...move, waiting: sourcesOf(replicas[move.partition] ?? [], members) }
  })
}

/** One per node: what an older life was owed is part of what the new one is. */
function withCatchUp(document: ClusterDocument, node: NodeName, generation: string): readonly Refill[] {
  const rest = document.refills.filter((refill) => !isRestored(refill) || refill.node !== node)
  const waiting = votersOf(document).filter((other) => other !== node)
  if (waiting.length === 0 || !isNamed(document, node)) return rest
  return [...rest, { id: `${generation}/${node}`, node, waiting }]
}
