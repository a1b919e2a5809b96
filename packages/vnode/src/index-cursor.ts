import { concatBytes, endOfBytes, type KeyId, startsWithBytes } from '@atoll/core'
import type { AbstractSnapshot } from 'abstract-level'
import { BINARY, reading } from './database.ts'
import { decodeIndexValue } from './index-entry.ts'
import type { IndexSpace, IndexWindow } from './index-space.ts'
import { encodeStart } from './keys.ts'
import type { Database, DatabaseIterator } from './ports.ts'
import type { ScanEntry } from './protocol.ts'
import type { RecordReader } from './record-reader.ts'
import type { Crc32 } from './seal.ts'

export interface CursorParts {
  readonly database: Database
  readonly reader: RecordReader
  readonly crc32: Crc32
  readonly snapshot: AbstractSnapshot | undefined
  readonly signal: AbortSignal | undefined
  /** Of which partitions the entries are asked for, and of which of their slices. */
  readonly wanted: WantedSlices
  /** The slice of a key, if not that which its entry names. */
  readonly sliceOf: ((id: KeyId) => number) | undefined
  /** Whether only the first entry of each group is wanted. */
  readonly isGrouped: boolean
}

/** Slices by partition. */
export type WantedSlices = ReadonlyMap<number, ReadonlySet<number>>

export interface IndexItem {
  /** The position as bytes, which sort as positions do. */
  readonly head: Uint8Array
  readonly partition: number
  readonly entry: ScanEntry
}

/** Rows at a time: few where most lie in groups that are passed over, and not so many that a page is held up. */
const LEAST_ROWS = 16
const MOST_ROWS = 4096
/** A database that knows it reads no more bytes at a time; its own default may be a tenth of a page. */
const SCAN_READ = { ...BINARY, highWaterMarkBytes: 256 * 1024 }

/** Walks through the entries of an index in one range, and shows those of the wanted partitions and slices. */
export class IndexCursor {
  readonly #parts: CursorParts
  readonly #space: IndexSpace
  readonly #iterator: DatabaseIterator<[Uint8Array, Uint8Array]>
  readonly #prefix: Uint8Array
  readonly #type: string
  #rows: readonly [Uint8Array, Uint8Array][] = []
  /** The first row that was not looked at. */
  #at = 0
  #first: IndexItem | undefined
  #ended = false
  /** Rows read so far, and how many of them showed an entry. */
  #read = 0
  #shown = 0
  #chunk = LEAST_ROWS

  constructor(parts: CursorParts, window: IndexWindow, space: IndexSpace) {
    this.#parts = parts
    this.#space = space
    this.#type = window.type
    this.#prefix = space.prefix(window)
    const { database, snapshot } = parts
    this.#iterator = database.iterator({ ...SCAN_READ, ...space.windowRange(window), snapshot })
  }

  /** The first entry that was not shifted away; undefined at the end, or if `fill` must be asked first. */
  get first(): IndexItem | undefined {
    return this.#first
  }

  shift(): void {
    this.#first = undefined
    this.#look()
  }

  /** Shifts all entries away of which the terms begin with `group`, those too that were not read yet. */
  pass(group: Uint8Array): void {
    if (this.#first === undefined) return
    const head = encodeStart(group)
    if (!startsWithBytes(this.#first.head, head)) return
    while (this.#isWithin(this.#rows[this.#at], head)) this.#at++
    this.#first = undefined
    if (this.#at < this.#rows.length) this.#look()
    else this.#seek(head)
  }

  /** Reads on until there is a first entry. Without one thereafter, this is the end. `wanted` says how many are of use. */
  async fill(wanted: number): Promise<void> {
    while (this.#first === undefined && !this.#ended) {
      this.#parts.signal?.throwIfAborted()
      const size = this.#rowsFor(wanted)
      this.#rows = await reading(() => this.#iterator.nextv(size))
      this.#at = 0
      this.#read += this.#rows.length
      this.#ended = this.#rows.length === 0
      this.#look()
    }
  }

  close(): Promise<void> {
    return this.#iterator.close()
  }

  /** By the share of rows that have shown something; of groups, by how many rows in a row were not passed over. */
  #rowsFor(wanted: number): number {
    if (this.#parts.isGrouped || this.#shown === 0) {
      const rows = this.#read === 0 && !this.#parts.isGrouped ? Math.max(wanted, LEAST_ROWS) : this.#chunk
      this.#chunk = Math.min(2 * rows, MOST_ROWS)
      return Math.min(rows, MOST_ROWS)
    }
    const expected = Math.ceil((wanted * this.#read) / this.#shown)
    return Math.min(Math.max(expected, LEAST_ROWS), MOST_ROWS)
  }

  /** Without `seek` the rows of the group are read, and passed over one by one when they come. */
  #seek(head: Uint8Array): void {
    const end = endOfBytes(concatBytes([this.#prefix, head]))
    this.#chunk = LEAST_ROWS
    if (end === undefined) this.#ended = true
    else if (this.#parts.database.supports.seek) this.#iterator.seek(end, { keyEncoding: 'view' })
  }

  /** Goes on to the first row that shows an entry. */
  #look(): void {
    while (this.#first === undefined && this.#at < this.#rows.length) {
      const row = this.#rows[this.#at++]
      if (row !== undefined) this.#first = this.#readRow(row)
    }
    if (this.#first !== undefined) this.#shown += 1
  }

  #isWithin(row: [Uint8Array, Uint8Array] | undefined, head: Uint8Array): boolean {
    return row !== undefined && startsWithBytes(row[0].subarray(this.#prefix.length), head)
  }

  #readRow([key, value]: [Uint8Array, Uint8Array]): IndexItem | undefined {
    const partition = this.#space.partitionOf(key)
    const slices = this.#parts.wanted.get(partition)
    if (slices === undefined) return undefined
    try {
      const { slice: filed, clockDigest, payloads } = decodeIndexValue(key, value, this.#parts.crc32)
      const { sliceOf } = this.#parts
      if (sliceOf === undefined && !slices.has(filed)) return undefined
      const tail = key.subarray(this.#prefix.length)
      const position = this.#space.positionOf(tail)
      const slice = sliceOf === undefined ? filed : sliceOf({ type: this.#type, ...position })
      if (!slices.has(slice)) return undefined
      const entry = { ...position, slice, clockDigest, payloads }
      return { head: this.#space.orderOf(tail, position), partition, entry }
    } catch {
      this.#parts.reader.tellCorruptEntry(key)
      return undefined
    }
  }
}
