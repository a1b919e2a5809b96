import { concatBytes, EMPTY_BYTES, endOfBytes, type KeyId, startsWithBytes } from '@atoll/core'
import type { AbstractSnapshot } from 'abstract-level'
import { BINARY, reading } from './database.ts'
import { decodeIndexValue } from './index-entry.ts'
import { encodeStart } from './keys.ts'
import { decodePosition, type IndexWindow, VnodeLayout } from './layout.ts'
import type { Database, DatabaseIterator } from './ports.ts'
import type { ScanEntry } from './protocol.ts'
import type { RecordReader } from './record-reader.ts'
import type { Crc32 } from './seal.ts'

export interface CursorParts {
  readonly database: Database
  readonly reader: RecordReader
  readonly crc32: Crc32
  readonly snapshot: AbstractSnapshot | undefined
  /** Entries to read at a time. */
  readonly chunk: number
  readonly signal: AbortSignal | undefined
  /** The slice of a key, if not that which its entry names. */
  readonly sliceOf: ((id: KeyId) => number) | undefined
}

interface Item {
  /** The position as it is stored, which sorts as bytes. */
  readonly head: Uint8Array
  readonly entry: ScanEntry
}

/** Walks through one vnode's entries of an index, of some slices of the ring. */
export class IndexCursor {
  readonly #parts: CursorParts
  readonly #slices: ReadonlySet<number>
  readonly #iterator: DatabaseIterator<[Uint8Array, Uint8Array]>
  readonly #prefix: Uint8Array
  readonly #type: string
  #rows: readonly [Uint8Array, Uint8Array][] = []
  /** The first row that was not looked at. */
  #at = 0
  #first: Item | undefined
  #ended = false

  constructor(
    parts: CursorParts,
    window: IndexWindow,
    { partition, slices }: { readonly partition: number; readonly slices: readonly number[] },
  ) {
    const layout = new VnodeLayout(partition)
    this.#parts = parts
    this.#slices = new Set(slices)
    this.#type = window.type
    this.#prefix = layout.indexPrefix(window)
    const { database, snapshot } = parts
    this.#iterator = database.iterator({ ...BINARY, ...layout.windowRange(window), snapshot })
  }

  /** The first entry that was not shifted away; undefined at the end, or if `fill` must be asked first. */
  get first(): Item | undefined {
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
    while (this.#at < this.#rows.length && startsWithBytes(this.#headOf(this.#rows[this.#at]), head))
      this.#at++
    this.#first = undefined
    if (this.#at < this.#rows.length) this.#look()
    else this.#seek(head)
  }

  /** Reads on until there is a first entry. Without one thereafter, this is the end. */
  async fill(): Promise<void> {
    while (this.#first === undefined && !this.#ended) {
      this.#parts.signal?.throwIfAborted()
      this.#rows = await reading(() => this.#iterator.nextv(this.#parts.chunk))
      this.#at = 0
      this.#ended = this.#rows.length === 0
      this.#look()
    }
  }

  close(): Promise<void> {
    return this.#iterator.close()
  }

  /** Without `seek` the rows of the group are read, and passed over one by one when they come. */
  #seek(head: Uint8Array): void {
    const end = endOfBytes(concatBytes([this.#prefix, head]))
    if (end === undefined) this.#ended = true
    else if (this.#parts.database.supports.seek) this.#iterator.seek(end, { keyEncoding: 'view' })
  }

  /** Goes on to the first row that shows an entry. */
  #look(): void {
    while (this.#first === undefined && this.#at < this.#rows.length) {
      const row = this.#rows[this.#at++]
      if (row !== undefined) this.#first = this.#readRow(row)
    }
  }

  #headOf(row: [Uint8Array, Uint8Array] | undefined): Uint8Array {
    return row === undefined ? EMPTY_BYTES : row[0].subarray(this.#prefix.length)
  }

  #readRow([key, value]: [Uint8Array, Uint8Array]): Item | undefined {
    try {
      const { slice: filed, ...rest } = decodeIndexValue(key, value, this.#parts.crc32)
      const { sliceOf } = this.#parts
      if (sliceOf === undefined && !this.#slices.has(filed)) return undefined
      const head = key.subarray(this.#prefix.length)
      const position = decodePosition(head)
      const slice = sliceOf?.({ type: this.#type, bucket: position.bucket, key: position.key }) ?? filed
      return this.#slices.has(slice) ? { head, entry: { ...position, slice, ...rest } } : undefined
    } catch {
      this.#parts.reader.tellCorruptEntry(key)
      return undefined
    }
  }
}
