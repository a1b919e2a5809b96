import { groupOf, type KeyId, startsWithBytes, type TermGroups } from '@atoll/core'
import { overlapping, partitionOf, type Sha1 } from '@atoll/ring'
import { reading } from './database.ts'
import { type CursorParts, IndexCursor } from './index-cursor.ts'
import { MergeHeap } from './merge-heap.ts'
import type { ScanEntry, ScanReply, ScanRequest, ScanVnode } from './protocol.ts'

export interface ScanParts extends Omit<CursorParts, 'snapshot' | 'chunk' | 'sliceOf'> {
  /** Of the ring by which the records are filed. */
  readonly filed: number
  readonly sha1: Sha1

  /** Bytes of a page; it has one entry at least. */
  readonly scanBytes: number
}

/** Read beyond a cursor's fair share of the page, since keys are not spread evenly. */
const SPARE_ENTRIES = 16
/** What an entry costs beside its bytes, in a message or in memory. */
const ENTRY_OVERHEAD_BYTES = 32

/**
 * One page of the entries of several vnodes, merged in the order of (term, bucket, key). It costs what it answers; of a
 * group of terms that is its first entry.
 */
export async function scanIndexes(request: ScanRequest, parts: ScanParts): Promise<ScanReply> {
  const { snapshot, cursors } = await reading(async () => openCursors(request, parts))
  try {
    await Promise.all(cursors.map((cursor) => cursor.fill()))
    const { limit, groups } = request
    return await mergePage(cursors, { limit, bytes: parts.scanBytes, groups })
  } finally {
    await Promise.allSettled(cursors.map((cursor) => cursor.close()))
    await snapshot?.close()
  }
}

function openCursors(request: ScanRequest, parts: ScanParts) {
  const { database, filed, sha1 } = parts
  const { partitions = filed } = request
  const sliceOf = partitions === filed ? undefined : (id: KeyId) => partitionOf(id, partitions, sha1)
  const vnodes = partitions === filed ? request.vnodes : filedVnodes(request.vnodes, partitions, filed)
  const chunk = Math.ceil(request.limit / Math.max(1, vnodes.length)) + SPARE_ENTRIES
  const snapshot = database.supports.explicitSnapshots ? database.snapshot() : undefined
  const cursors = vnodes.map(
    (vnode) => new IndexCursor({ ...parts, chunk, snapshot, sliceOf }, request, vnode),
  )
  return { snapshot, cursors }
}

/** Where the records of the vnodes lie that are filed by another number of partitions. */
function filedVnodes(vnodes: readonly ScanVnode[], partitions: number, filed: number): readonly ScanVnode[] {
  const slices = new Map<number, number[]>()
  for (const vnode of vnodes) {
    for (const partition of overlapping(vnode.partition, partitions, filed)) {
      slices.set(partition, [...(slices.get(partition) ?? []), ...vnode.slices])
    }
  }
  return [...slices].map(([partition, wanted]) => ({ partition, slices: wanted }))
}

async function mergePage(
  cursors: readonly IndexCursor[],
  page: { readonly limit: number; readonly bytes: number; readonly groups: TermGroups | undefined },
): Promise<ScanReply> {
  const heap = new MergeHeap<IndexCursor>()
  for (const cursor of cursors) heap.push(cursor)
  const entries: ScanEntry[] = []
  let bytes = 0
  let passed: Uint8Array | undefined
  for (;;) {
    const cursor = heap.top
    const item = cursor?.first
    if (cursor === undefined || item === undefined) return { entries, done: true }
    if (passed !== undefined && startsWithBytes(item.entry.term, passed)) {
      cursor.pass(passed)
    } else {
      bytes += entryBytes(item.entry)
      const full = entries.length === page.limit || (entries.length > 0 && bytes > page.bytes)
      if (full) return { entries, done: false }
      entries.push(item.entry)
      passed = page.groups && groupOf(item.entry.term, page.groups)
      cursor.shift()
    }
    if (cursor.first === undefined) await cursor.fill()
    if (cursor.first === undefined) heap.pop()
    else heap.sink()
  }
}

/** What an entry counts against the bytes of a page. */
export function entryBytes({ term, bucket, key, clockDigest, payloads }: ScanEntry): number {
  const fixed = ENTRY_OVERHEAD_BYTES + term.length + bucket.length + key.length + clockDigest.length
  return payloads.reduce((sum, payload) => sum + payload.length, fixed)
}
