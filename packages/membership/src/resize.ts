import { checkPartitions, overlapping } from '@atoll/ring'
import type { Change } from './changes.ts'
import type { ClusterDocument } from './document.ts'
import { isLoss } from './outcome.ts'
import { allow } from './refusal.ts'

/** How many partitions the ring shall have by what is staged, if it is another number than now. */
export function resizedTo({ staged }: ClusterDocument): number | undefined {
  const [first] = staged
  return first?.kind === 'resize' ? first.partitions : undefined
}

/**
 * What was said of each partition is said of those that it becomes. They have the same nodes, so that no record has to
 * leave its node.
 */
export function split<T>(table: readonly T[], partitions: number): readonly T[] {
  const parts = Array.from({ length: partitions }, (_, at) => overlapping(at, partitions, table.length))
  return parts.flatMap((parents) => parents.flatMap((parent) => table.slice(parent, parent + 1)))
}

/**
 * Throws `RangeError` for a number of partitions that no ring has, and `ATOLL_CHANGE_REFUSED` if the ring cannot have it, or
 * not while something else is to be done.
 */
export function checkResize(document: ClusterDocument, partitions: number, what: string): void {
  const { ring, staged, moves, refills, resizing } = document
  checkPartitions(partitions)
  allow(partitions !== ring.partitions, what, 'it has as many')
  allow(partitions > ring.partitions, what, `it has ${ring.partitions}, and can only get more`)
  allow(staged.length === 0, what, 'other changes are staged; commit or clear them first')
  allow(resizing === undefined, what, `first ${waitingText(document)}`)
  const pending = moves.length + refills.length
  const late = `those of lost nodes end with a force-replace or force-remove`
  allow(pending === 0, what, `first ${pending} moves and refills that are pending have to be done; ${late}`)
}

/**
 * The staged changes that can be committed now: all of them, or while nodes have to file their records anew those of
 * lost nodes, of which one may be what the others wait for. The rest stays staged.
 */
export function dueChanges({ resizing, staged }: ClusterDocument): readonly Change[] {
  if (resizing === undefined) return staged
  const heirs = new Set(staged.flatMap((change) => ('by' in change && isLoss(change) ? [change.by] : [])))
  return staged.filter((change) => isLoss(change) || (change.kind === 'join' && heirs.has(change.node)))
}

/**
 * Throws `ATOLL_CHANGE_REFUSED` while nodes still have to file their records anew, unless it is about lost ones; and
 * for another number of partitions if something has begun to move since that was staged.
 */
export function checkCommitable(document: ClusterDocument, what: string): void {
  const meanwhile = 'until then only lost nodes can be dealt with'
  allow(dueChanges(document).length > 0, what, `first ${waitingText(document)}; ${meanwhile}`)
  const partitions = resizedTo(document)
  if (partitions !== undefined) checkResize({ ...document, staged: [] }, partitions, what)
}

/** The document once the ring has that many partitions. Every member has to file its records anew. */
export function resized(document: ClusterDocument, partitions: number): ClusterDocument {
  const { members, ring, replicas } = document
  const epoch = document.epoch + 1
  const up = [...members.values()].filter(({ state }) => state !== 'down')
  return {
    ...document,
    epoch,
    ring: { ...ring, partitions, owners: split(ring.owners, partitions) },
    replicas: split(replicas, partitions),
    grownAt: document.grownAt.length === 0 ? [] : split(document.grownAt, partitions),
    resizedAt: epoch,
    resizing: { from: ring.partitions, waiting: up.map(({ node }) => node).sort() },
    staged: [],
  }
}

/** `node` has filed its records by the partitions of the ring. */
export function refiled(document: ClusterDocument, node: string): ClusterDocument {
  if (document.resizing?.waiting.includes(node) !== true) return document
  return { ...withoutRefiling(document, node), epoch: document.epoch + 1 }
}

/** It is the turn of `node` to file its records anew, since `instead`, whose turn it was, is down. */
export function filesNext(
  document: ClusterDocument,
  node: string,
  { instead }: { readonly instead: string },
): ClusterDocument {
  const { resizing, epoch } = document
  if (resizing?.waiting[0] !== instead || !resizing.waiting.includes(node)) return document
  const waiting = [node, ...resizing.waiting.filter((other) => other !== node)]
  return { ...document, epoch: epoch + 1, resizing: { ...resizing, waiting } }
}

/** Nobody waits for the node any more. */
export function withoutRefiling(document: ClusterDocument, node: string): ClusterDocument {
  const { resizing } = document
  if (resizing === undefined) return document
  const waiting = resizing.waiting.filter((other) => other !== node)
  return { ...document, resizing: waiting.length === 0 ? undefined : { ...resizing, waiting } }
}

function waitingText({ resizing, ring }: ClusterDocument): string {
  const waiting = resizing?.waiting ?? []
  const what = `${waiting.join(', ')} ${waiting.length === 1 ? 'has' : 'have'} to file records by ${ring.partitions} partitions`
  return `${what} (mark down who is away, or force-replace or force-remove who is lost)`
}
