import { equalBytes, groupOf, type KeyId, startsWithBytes, type TermGroups } from '@atoll/core'
import { overlapping, partitionOf, type Sha1 } from '@atoll/ring'
import { reading } from './database.ts'
import { type CursorParts, IndexCursor, type IndexItem, type WantedSlices } from './index-cursor.ts'
import { NODE_INDEX } from './index-space.ts'
import { VnodeLayout } from './layout.ts'
import { MergeHeap } from './merge-heap.ts'
import type { ScanEntry, ScanReply, ScanRequest } from './protocol.ts'

export interface ScanParts extends Pick<CursorParts, 'database' | 'reader' | 'crc32' | 'signal'> {
  /** Of the ring by which the records are filed. */
  readonly filed: number
  readonly sha1: Sha1
  /** Whether some entries of a partition may lie in a range of its own. */
  readonly hasOwn: (partition: number) => boolean
  /** Bytes of a page; it has one entry at least. */
  readonly scanBytes: number
}

/** Read beyond a cursor's fair share of the page, since keys are not spread evenly. */
const SPARE_ENTRIES = 16
/** What an entry costs beside its bytes, in a message or in memory. */
const ENTRY_OVERHEAD_BYTES = 32

/**
 * One page of the entries of several vnodes, in the order of (term, bucket, key, place). It costs what it answers, and
 * what lies between of other vnodes; of a group of terms that is its first entry.
 */
export async function scanIndexes(request: ScanRequest, parts: ScanParts): Promise<ScanReply> {
  const { snapshot, cursors } = await reading(async () => openCursors(request, parts))
  try {
    return await mergePage(cursors, { ...request, bytes: parts.scanBytes })
  } finally {
    await Promise.allSettled(cursors.map((cursor) => cursor.close()))
    await snapshot?.close()
  }
}

/**
 * One cursor for the node, and one for each partition of which entries may lie in a range of its own. Those are opened
 * first: from there entries are brought into the order of the node, so that one is seen twice rather than not at all.
 */
function openCursors(request: ScanRequest, parts: ScanParts) {
  const { database, filed, sha1, hasOwn } = parts
  const { partitions = filed } = request
  const wanted = wantedSlices(request, partitions, filed)
  const sliceOf = partitions === filed ? undefined : (id: KeyId) => partitionOf(id, partitions, sha1)
  const own = [...wanted.keys()].filter(hasOwn).map((partition) => new VnodeLayout(partition).ownIndex)
  const { explicitSnapshots, implicitSnapshots } = database.supports
  // A single iterator may be one by itself.
  const needsSnapshot = explicitSnapshots && !(own.length === 0 && implicitSnapshots)
  const snapshot = needsSnapshot ? database.snapshot() : undefined
  const means = { ...parts, wanted, sliceOf, snapshot, isGrouped: request.groups !== undefined }
  const cursors = [...own, NODE_INDEX].map((space) => new IndexCursor(means, request, space))
  return { snapshot, cursors }
}

/** Where the records of the vnodes lie; they may be filed by another number of partitions. */
function wantedSlices({ vnodes }: ScanRequest, partitions: number, filed: number): WantedSlices {
  const wanted = new Map<number, Set<number>>()
  for (const vnode of vnodes) {
    for (const partition of overlapping(vnode.partition, partitions, filed)) {
      const slices = wanted.get(partition) ?? new Set()
      wanted.set(partition, slices)
      for (const slice of vnode.slices) slices.add(slice)
    }
  }
  return wanted
}

interface PageLimits {
  readonly limit: number
  readonly bytes: number
  readonly groups?: TermGroups | undefined
}

async function mergePage(cursors: readonly IndexCursor[], page: PageLimits): Promise<ScanReply> {
  const heap = new MergeHeap<IndexCursor>()
  const entries: ScanEntry[] = []
  const share = () => shareOf(page.limit + 1 - entries.length, cursors.length)
  await Promise.all(cursors.map((cursor) => cursor.fill(share())))
  for (const cursor of cursors) heap.push(cursor)
  let bytes = 0
  let passed: Uint8Array | undefined
  const emitted = cursors.length > 1 ? new Emitted() : undefined
  for (;;) {
    const cursor = heap.top
    const item = cursor?.first
    if (cursor === undefined || item === undefined) return { entries, done: true }
    if (passed !== undefined && startsWithBytes(item.entry.term, passed)) {
      cursor.pass(passed)
    } else if (emitted?.has(item)) {
      cursor.shift()
    } else {
      bytes += entryBytes(item.entry)
      const full = entries.length === page.limit || (entries.length > 0 && bytes > page.bytes)
      if (full) return { entries, done: false }
      entries.push(item.entry)
      emitted?.add(item)
      passed = page.groups && groupOf(item.entry.term, page.groups)
      cursor.shift()
    }
    if (cursor.first === undefined) await cursor.fill(share())
    if (cursor.first === undefined) heap.pop()
    else heap.sink()
  }
}

/** Of which partitions an entry was emitted at the last position: one may be on its way from range to range. */
class Emitted {
  readonly #partitions = new Set<number>()
  #head: Uint8Array | undefined

  has({ head, partition }: IndexItem): boolean {
    return this.#head !== undefined && equalBytes(this.#head, head) && this.#partitions.has(partition)
  }

  add({ head, partition }: IndexItem): void {
    if (this.#head === undefined || !equalBytes(this.#head, head)) this.#partitions.clear()
    this.#head = head
    this.#partitions.add(partition)
  }
}

function shareOf(room: number, cursors: number): number {
  return cursors === 1 ? room : Math.ceil(room / cursors) + SPARE_ENTRIES
}

/** What an entry counts against the bytes of a page. */
export function entryBytes({ term, bucket, key, place, clockDigest, payloads }: ScanEntry): number {
  let bytes = ENTRY_OVERHEAD_BYTES + term.length + bucket.length + key.length + clockDigest.length
  if (place !== undefined) bytes += place.length
  for (const payload of payloads) bytes += payload.length
  return bytes
}
