import type { NodeName, ReplicaTable } from '@atoll/ring'
import type { ClusterDocument, Move } from './document.ts'
import { applyMove, fits, type Layout, movesByPartition, sourcesOf, touches, withHeirs } from './layout.ts'

type Members = ClusterDocument['members']

/** The moves of one partition under change. */
interface Course {
  readonly partition: number
  readonly holders: readonly NodeName[]
  readonly wanted: readonly NodeName[]
  readonly members: Members
}

/**
 * Sets new goals: as few moves as lead from what is pending already to the wanted lists. As sets, that is: the order of a
 * list is kept. What has begun is finished first, since its source may have stopped to serve; only additions, whose
 * sources go on, are given up.
 */
export function retarget(layout: Layout, wanted: ReplicaTable, members: Members): Layout {
  const pending = movesByPartition(layout.moves)
  const moves = layout.replicas.flatMap((holders, partition) =>
    planCourse(pending.get(partition) ?? [], {
      partition,
      holders,
      wanted: wanted[partition] ?? [],
      members,
    }),
  )
  return { replicas: layout.replicas, moves }
}

function planCourse(pending: readonly Move[], course: Course): readonly Move[] {
  const { partition, holders, wanted, members } = course
  const kept = sensible(
    holders,
    pending.filter((move) => move.kind !== 'add' || wanted.includes(move.to)),
  )
  const goal = kept.reduce(applyMove, holders)
  const leaving = goal.filter((node) => !wanted.includes(node))
  const coming = wanted.filter((node) => !goal.includes(node))
  const staying = goal.filter((node) => wanted.includes(node))
  // The last ones: then nobody moves up in the list to where it has nothing of some bucket types.
  const heirs = staying.length > 0 ? staying.reverse() : coming.slice(0, 1)
  const moves = [...kept]
  for (const [at, from] of leaving.entries()) {
    const to = coming[at]
    const heir = heirs[(at - coming.length) % heirs.length]
    if (to !== undefined) replaceBy(moves, course, { kind: 'replace', partition, from, to })
    else if (heir !== undefined) moves.push({ kind: 'drop', partition, from, to: heir })
  }
  const waiting = sourcesOf(holders, members)
  for (const to of coming.slice(leaving.length)) moves.push({ kind: 'add', partition, to, waiting })
  return withHeirs(moves, partition, holders)
}

/** Without those that have lost their sense, since one that they waited for is gone. */
function sensible(holders: readonly NodeName[], moves: readonly Move[]): readonly Move[] {
  let list = holders
  return moves.filter((move) => {
    const makesSense = fits(list, move)
    if (makesSense) list = applyMove(list, move)
    return makesSense
  })
}

/** A pending move to `from` that waits for another is led to `to` at once: the last one, since `from` may come and go. */
function replaceBy(
  moves: Move[],
  { holders }: Course,
  move: Extract<Move, { readonly kind: 'replace' }>,
): void {
  const at = moves.findLastIndex((other) => other.kind !== 'drop' && other.to === move.from)
  const waiting = moves[at]
  const inTheWay = moves.slice(at + 1).some((other) => touches(other, move.to))
  const isBegun = waiting?.kind !== 'replace' || holders.includes(waiting.from)
  if (isBegun || inTheWay) moves.push(move)
  else if (waiting.from === move.to) moves.splice(at, 1)
  else moves[at] = { ...waiting, to: move.to }
}
