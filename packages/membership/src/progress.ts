import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Move, Refill } from './document.ts'
import { isRestored } from './generations.ts'
import { applyMove, type Layout, withHeirs } from './layout.ts'
import { isReady, laggard, type Pending } from './ready.ts'
import { allow, memberOf } from './refusal.ts'
import { withoutRefiling } from './resize.ts'
import { settle } from './settle.ts'
import { ringOf } from './zones.ts'

/** A move of which a source has done its part. */
export interface Handed {
  readonly partition: number
  readonly kind: Move['kind']
  readonly to: NodeName
}

/**
 * `source` has done its part of these moves. A replacement or a drop is over with that; an addition when nobody has to
 * copy any more. A node that leaves, and is in no list any more, is exiting. Copies that `source` still owes are owed
 * by its new owners, too.
 *
 * @throws `ATOLL_CHANGE_REFUSED` unless each of them is a move of `source` that could begin.
 */
export function handed(
  document: ClusterDocument,
  source: NodeName,
  done: readonly Handed[],
): ClusterDocument {
  if (done.length === 0) return document
  let pending: Pending = document
  for (const part of done) pending = { ...handOne(pending, source, part), refills: document.refills }
  const { replicas, moves } = pending
  const refills = done.reduce((owed, part) => withHeir(owed, source, part), document.refills)
  return settle({ ...document, epoch: document.epoch + 1, replicas, moves, refills })
}

/** What `source` has not offered yet is now where its partition is. */
function withHeir(refills: readonly Refill[], source: NodeName, { kind, to }: Handed): readonly Refill[] {
  if (kind === 'add') return refills
  return refills.map((refill) => {
    const { waiting } = refill
    const isForHeir = isRestored(refill) && refill.node === to
    if (isForHeir || !waiting.includes(source) || waiting.includes(to)) return refill
    return { ...refill, waiting: [...waiting, to] }
  })
}

function handOne(pending: Pending, source: NodeName, part: Handed): Layout {
  const { partition, kind, to } = part
  const { replicas, moves } = pending
  const move = moves.find((other) => matches(other, source, part))
  const what = `note that ${source} has handed ${partition} to ${to}`
  allow(move !== undefined, what, `no such ${kind} is planned`)
  const behind = laggard(pending, move)
  allow(behind === undefined, what, `the data of ${behind} is an older copy, and has to catch up first`)
  allow(isReady(pending, move), what, 'another move of the partition comes first')
  if (move.kind === 'add') {
    const waiting = move.waiting.filter((node) => node !== source)
    if (waiting.length > 0) return { replicas, moves: swap(moves, move, { ...move, waiting }) }
  }
  return finish(pending, move)
}

/**
 * The move is done: its partition has another list. What others wait for from a node that went, they get from its new
 * owner.
 */
function finish({ replicas, moves }: Layout, move: Move): Layout {
  const { partition } = move
  const holders = applyMove(replicas[partition] ?? [], move)
  const rest = swap(moves, move, undefined).map((other) =>
    move.kind !== 'add' && other.partition === partition ? inherit(other, move) : other,
  )
  return {
    replicas: replicas.map((list, at) => (at === partition ? holders : list)),
    moves: withHeirs(rest, partition, holders),
  }
}

function inherit(move: Move, { from, to }: { readonly from: NodeName; readonly to: NodeName }): Move {
  if (move.kind !== 'add' || !move.waiting.includes(from)) return move
  const others = move.waiting.filter((node) => node !== from && node !== to)
  return { ...move, waiting: [...others, to] }
}

function matches(move: Move, source: NodeName, { partition, kind, to }: Handed): boolean {
  if (move.partition !== partition || move.kind !== kind || move.to !== to) return false
  return move.kind === 'add' ? move.waiting.includes(source) : move.from === source
}

function swap(moves: readonly Move[], old: Move, by: Move | undefined): readonly Move[] {
  return moves.flatMap((move) => (move !== old ? [move] : by === undefined ? [] : [by]))
}

/** `source` has offered all its copies for these refills. Those of which it owed nothing are left out. */
export function refilled(
  document: ClusterDocument,
  source: NodeName,
  ids: readonly string[],
): ClusterDocument {
  const isDone = (refill: ClusterDocument['refills'][number]) =>
    ids.includes(refill.id) && refill.waiting.includes(source)
  if (!document.refills.some(isDone)) return document
  const refills = document.refills.map((refill) =>
    isDone(refill) ? { ...refill, waiting: refill.waiting.filter((node) => node !== source) } : refill,
  )
  return settle({ ...document, epoch: document.epoch + 1, refills })
}

/** A node that is exiting and has nothing left is a member no more. One that is none already changes nothing. */
export function exited(document: ClusterDocument, node: NodeName): ClusterDocument {
  if (!document.members.has(node)) return document
  const what = `let ${node} go`
  const { state } = memberOf(document, node, what)
  allow(state === 'exiting', what, `it is ${state}, not exiting`)
  const members = new Map([...document.members].filter(([name]) => name !== node))
  const staged = document.staged.filter((change) => change.kind === 'resize' || change.node !== node)
  const ring = ringOf(document.ring.owners, members)
  return withoutRefiling({ ...document, epoch: document.epoch + 1, members, staged, ring }, node)
}
