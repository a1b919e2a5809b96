import { toHex } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import { sha1 } from '@noble/hashes/legacy.js'
import type { Change } from './changes.ts'
import { encodeBasis } from './codec.ts'
import type { ClusterDocument, Member, Move } from './document.ts'
import { goalOf } from './layout.ts'
import { outcomeOf } from './outcome.ts'
import { dueChanges, resizedTo, split } from './resize.ts'
import { type SpacingViolation, spacingViolations } from './spacing.ts'
import { chooseTarget, consequencesOf } from './target.ts'
import { votersOf } from './voters.ts'
import { zonesOf } from './zones.ts'

/** A move with its size. `bytes` is undefined if nobody knows. */
export type PlannedMove = Move & { readonly bytes: number | undefined }

/** What a commit of the staged changes would do. */
export interface Plan {
  /** Of the document that it was made from. */
  readonly epoch: number
  /** Digest of all that it depends on: a commit fails if that has changed. */
  readonly basis: string
  readonly changes: readonly Change[]
  /**
   * Changes that stay staged, since members have to file their records anew first: until then only lost nodes are dealt
   * with.
   */
  readonly later: readonly Change[]
  /** As they are right after the commit. */
  readonly members: ReadonlyMap<NodeName, Member>
  /** Who shall own each partition of the ring, of which the lists of replicas are made. */
  readonly owners: readonly NodeName[]
  /** Everything that has to be moved after the commit, what is pending already included. */
  readonly transfers: readonly PlannedMove[]
  /** Copies of partitions that these changes make: their replacements and additions. */
  readonly moved: number
  /** Copies that have to be made in any layout in which each node holds as much. */
  readonly leastMoves: number
  /** The same two numbers for the owners of the ring, as the claim has them. */
  readonly movedPartitions: number
  readonly leastPartitions: number
  /** Partitions of which every copy is lost with the nodes that are lost. */
  readonly lost: readonly number[]
  /** Of the lists of replicas, as they are when all transfers are done. */
  readonly violations: readonly SpacingViolation[]
  /** Nodes that have something to do by this plan, and were not up when it was made: it is not done before they are back. */
  readonly waitsFor: readonly NodeName[]
}

export interface PlanOptions {
  /** What is known of the size of a partition, in bytes. */
  readonly bytesOf?: ((partition: number) => number | undefined) | undefined
  /** Whether a node is up. Default is that all are. */
  readonly isUp?: ((node: NodeName) => boolean) | undefined
}

/**
 * What a commit of the staged changes would do: a function of the document, the same on every node.
 *
 * @throws `ATOLL_CHANGE_REFUSED` if no node would be left to hold partitions.
 */
export function planOf(document: ClusterDocument, options: PlanOptions = {}): Plan {
  const due = dueChanges(document)
  const now = { ...document, staged: due }
  const outcome = outcomeOf(now)
  const partitions = resizedTo(document)
  if (partitions !== undefined) {
    const waitsFor = awayOf(votersOf(document), options)
    return { ...planResize(document, partitions, outcome.members), waitsFor }
  }
  const target = chooseTarget(now, outcome)
  const { ring, layout, created, leastCopies } = consequencesOf(document, outcome, target.owners)
  return {
    ...target,
    epoch: document.epoch,
    basis: basisOf(document),
    changes: due,
    later: document.staged.filter((change) => !due.includes(change)),
    members: outcome.members,
    transfers: layout.moves.map((move) => ({ ...move, bytes: options.bytesOf?.(move.partition) })),
    moved: created.filter(({ kind }) => kind !== 'drop').length,
    leastMoves: leastCopies,
    lost: layout.lost,
    violations: spacingViolations(goalOf(layout), { n: document.n, zones: ring.zones }),
    waitsFor: awayOf(giversOf(layout.moves), options),
  }
}

/** Those who have to report a move done. */
function giversOf(moves: readonly Move[]): readonly NodeName[] {
  return moves.flatMap((move) => (move.kind === 'add' ? move.waiting : [move.from]))
}

function awayOf(nodes: Iterable<NodeName>, { isUp = () => true }: PlanOptions): readonly NodeName[] {
  return [...new Set(nodes)].filter((node) => !isUp(node)).sort()
}

/** Nothing moves: every node files its own records anew, by more partitions. */
function planResize(
  document: ClusterDocument,
  partitions: number,
  members: Plan['members'],
): Omit<Plan, 'waitsFor'> {
  return {
    epoch: document.epoch,
    basis: basisOf(document),
    changes: document.staged,
    later: [],
    members,
    owners: split(document.ring.owners, partitions),
    transfers: [],
    moved: 0,
    leastMoves: 0,
    movedPartitions: 0,
    leastPartitions: 0,
    lost: [],
    violations: spacingViolations(split(goalOf(document), partitions), {
      n: document.n,
      zones: zonesOf(members),
    }),
  }
}

/** Digest of all that a plan depends on, in hexadecimal. */
export function basisOf(document: ClusterDocument): string {
  return toHex(sha1(encodeBasis(document)))
}
