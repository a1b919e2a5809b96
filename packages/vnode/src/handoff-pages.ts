import { clockDigest, type RecordHead, writesDigest } from '@atoll/causality'
import { EMPTY_BYTES, type KeyId, KiB, type Runtime } from '@atoll/core'
import { BINARY, reading } from './database.ts'
import { valueBytes } from './envelope.ts'
import type { KeyRange } from './keys.ts'
import type { VnodeLayout } from './layout.ts'
import type { Database } from './ports.ts'
import type { RecordReader } from './record-reader.ts'

/** By what a record is compared with another of its key: where the same record is, both digests are equal. */
export interface RecordDigest {
  readonly id: KeyId
  /** Of the record's clock. */
  readonly digest: Uint8Array
  /** Of the ids of its writes; undefined from a node that does not tell them. */
  readonly writes?: Uint8Array | undefined
}

/** A record that may have to move. */
export interface MovingRecord extends RecordDigest {
  /** Where it is. */
  readonly partition: number
  /** Values that lie apart from the head are read when they are sent. */
  readonly record: RecordHead
  readonly writes: Uint8Array
  /** What is stored of it, key included. */
  readonly bytes: number
  /** Of those, what is not values. */
  readonly headBytes: number
}

export interface Page {
  readonly records: readonly MovingRecord[]
  /** Where the next page begins; undefined if nothing is behind this one. */
  readonly next: Uint8Array | undefined
  /** Keys of the notes that the page goes by, if it does. */
  readonly notes: readonly Uint8Array[]
  /** Names (`HandoffVnode.nameOf`) of records left out because their bytes fail their check. */
  readonly corrupt: readonly string[]
}

export interface PageLimits {
  readonly pageRecords: number
  readonly pageBytes: number
}

export interface PageParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly reader: RecordReader
  readonly layout: VnodeLayout
  readonly limits: PageLimits
}

/** Keys of one page, in bytes: they are offered in the head of one frame. */
const PAGE_KEY_BYTES = 256 * KiB
/** Rows asked of the database at a time, at most. */
const CHUNK = 16
/** In place of what the database cannot read: it fails every check. */
const UNREADABLE_ROW = new Uint8Array(1)

/**
 * The heads of the records of some ranges, one after the other, as they are on disk now; it may have none, and yet not be
 * the last.
 */
export async function readPage(parts: PageParts, ranges: readonly KeyRange[]): Promise<Page> {
  const page = new PageBuilder(parts)
  return reading(async () => {
    for (const range of ranges) if (await isFilled(page, parts, range)) return page.end(page.last)
    return page.end(undefined)
  })
}

/** False if there is room for more than the range has. */
async function isFilled(
  page: PageBuilder,
  { database, layout, limits }: PageParts,
  range: KeyRange,
): Promise<boolean> {
  const options = { ...BINARY, ...range, highWaterMarkBytes: limits.pageBytes }
  const iterator = database.iterator(options)
  try {
    for (;;) {
      const room = page.room()
      if (room === 0) return true
      const rows = await iterator.nextv(room)
      if (rows.length === 0) return false
      for (const [key, bytes] of rows) {
        if (page.isFullWith(key, bytes)) return true
        page.add(key, bytes)
        page.last = layout.cursorOf(key)
      }
    }
  } finally {
    await iterator.close()
  }
}

/**
 * Pages one after the other, each read while whoever goes over them is busy with the one before. Nothing is read any
 * more when the loop is left.
 */
export async function* pagesFrom(
  cursor: Uint8Array | undefined,
  read: (cursor: Uint8Array | undefined) => Promise<Page>,
): AsyncGenerator<Page, void> {
  let ahead = read(cursor)
  try {
    for (;;) {
      const page = await ahead
      if (page.next !== undefined) {
        ahead = read(page.next)
        // Told to whoever asks for it.
        ahead.catch(() => {})
      }
      yield page
      if (page.next === undefined) return
    }
  } finally {
    await ahead.catch(() => {})
  }
}

/** Where notes of records lie. */
export interface NoteSpace {
  readonly range: KeyRange
  dataKeyOf(noteKey: Uint8Array): Uint8Array
}

/** The records that are noted. A note of a record that is not there counts as one of the page, too. */
export async function readNotedPage(
  parts: PageParts,
  { range: all, dataKeyOf }: NoteSpace,
  after: Uint8Array | undefined,
): Promise<Page> {
  const { database, limits, reader } = parts
  const page = new PageBuilder(parts)
  const range = { ...all, ...(after === undefined ? {} : { gte: after }) }
  return reading(async () => {
    const iterator = database.keys({ ...BINARY, ...range, limit: limits.pageRecords + 1 })
    try {
      const noteKeys = await iterator.nextv(limits.pageRecords + 1)
      for (const noteKey of noteKeys) {
        const dataKey = dataKeyOf(noteKey)
        const row = await reader.row(dataKey)
        const [key, bytes] =
          row === 'unreadable' ? [dataKey, UNREADABLE_ROW] : (row ?? [dataKey, EMPTY_BYTES])
        if (page.isFullWith(key, bytes)) return page.end(noteKey)
        page.add(key, bytes, noteKey)
      }
      return page.end(undefined)
    } finally {
      await iterator.close()
    }
  })
}

class PageBuilder {
  last: Uint8Array | undefined
  readonly #parts: PageParts
  readonly #records: MovingRecord[] = []
  readonly #notes: Uint8Array[] = []
  #rows = 0
  #bytes = 0
  #keyBytes = 0
  readonly #corrupt: string[] = []

  constructor(parts: PageParts) {
    this.#parts = parts
  }

  isFullWith(key: Uint8Array, bytes: Uint8Array): boolean {
    const { pageRecords, pageBytes } = this.#parts.limits
    if (this.#rows === 0) return false
    if (this.#rows >= pageRecords || this.#keyBytes + key.length > PAGE_KEY_BYTES) return true
    return this.#bytes + key.length + bytes.length > pageBytes
  }

  /**
   * How many more rows fit if they are like those so far: what is read beyond a page has to be read again for the next
   * one.
   */
  room(): number {
    if (this.#rows === 0) return 1
    const { pageRecords, pageBytes } = this.#parts.limits
    const fitting = Math.floor((pageBytes - this.#bytes) / (this.#bytes / this.#rows))
    return Math.max(0, Math.min(CHUNK, pageRecords - this.#rows, fitting))
  }

  add(key: Uint8Array, bytes: Uint8Array, note?: Uint8Array): void {
    const { reader, layout, runtime } = this.#parts
    this.#rows += 1
    this.#bytes += key.length + bytes.length
    this.#keyBytes += key.length
    if (note !== undefined) this.#notes.push(note)
    if (bytes.length === 0) return
    const stored = reader.decode(key, bytes)
    const { record } = stored
    if (record === undefined || stored.corrupt) {
      this.#corrupt.push(layout.textOf(key))
      return
    }
    const digest = clockDigest(record, runtime.digest.sha1)
    const size = key.length + stored.bytes + stored.bodyBytes
    const headBytes = size - valueBytes(record)
    const of = { id: layout.idOf(key), partition: layout.partition, record }
    this.#records.push({ ...of, digest, writes: writesDigest(record), bytes: size, headBytes })
  }

  end(next: Uint8Array | undefined): Page {
    return { records: this.#records, next, notes: this.#notes, corrupt: this.#corrupt }
  }
}
