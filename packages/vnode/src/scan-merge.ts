import { orderOf } from './index-space.ts'
import { MergeHeap } from './merge-heap.ts'
import type { ScanEntry, ScanReply } from './protocol.ts'
import { entryBytes } from './scan.ts'

/** One page of several, in order. It ends where a page that has more behind it ends, for what follows is not known. */
export function mergeScans(
  pages: readonly ScanReply[],
  limits: { readonly limit: number; readonly bytes: number },
): ScanReply {
  const heap = new MergeHeap<PageCursor>()
  for (const page of pages) heap.push(new PageCursor(page))
  if (pages.some(({ entries, done }) => entries.length === 0 && !done)) return { entries: [], done: false }
  const entries: ScanEntry[] = []
  let bytes = 0
  for (;;) {
    const cursor = heap.top
    const entry = cursor?.first?.entry
    if (cursor === undefined || entry === undefined) return { entries, done: true }
    bytes += entryBytes(entry)
    const full = entries.length === limits.limit || (entries.length > 0 && bytes > limits.bytes)
    if (full) return { entries, done: false }
    entries.push(entry)
    cursor.shift()
    if (cursor.first !== undefined) heap.sink()
    else if (cursor.done) heap.pop()
    else return { entries, done: false }
  }
}

class PageCursor {
  readonly done: boolean
  readonly #entries: readonly ScanEntry[]
  #at = 0
  #first: { readonly head: Uint8Array; readonly entry: ScanEntry } | undefined

  constructor({ entries, done }: ScanReply) {
    this.#entries = entries
    this.done = done
    this.#load()
  }

  get first(): { readonly head: Uint8Array; readonly entry: ScanEntry } | undefined {
    return this.#first
  }

  shift(): void {
    this.#at += 1
    this.#load()
  }

  #load(): void {
    const entry = this.#entries[this.#at]
    this.#first = entry === undefined ? undefined : { entry, head: orderOf(entry) }
  }
}
