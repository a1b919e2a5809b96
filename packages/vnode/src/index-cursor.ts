import type { KeyId } from '@atoll/core'
import type { AbstractSnapshot } from 'abstract-level'
import { BINARY, reading } from './database.ts'
import { decodeIndexValue } from './index-entry.ts'
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
  readonly #prefixBytes: number
  readonly #type: string
  #items: readonly Item[] = []
  #at = 0

  constructor(
    parts: CursorParts,
    window: IndexWindow,
    { partition, slices }: { readonly partition: number; readonly slices: readonly number[] },
  ) {
    const layout = new VnodeLayout(partition)
    this.#parts = parts
    this.#slices = new Set(slices)
    this.#type = window.type
    this.#prefixBytes = layout.indexPrefix(window).length
    const { database, snapshot } = parts
    this.#iterator = database.iterator({ ...BINARY, ...layout.windowRange(window), snapshot })
  }

  /** The first entry that was not shifted away; undefined at the end, or if `fill` must be asked first. */
  get first(): Item | undefined {
    return this.#items[this.#at]
  }

  shift(): void {
    this.#at += 1
  }

  /** Reads on until there is a first entry. Without one thereafter, this is the end. */
  async fill(): Promise<void> {
    while (this.first === undefined) {
      this.#parts.signal?.throwIfAborted()
      const rows = await reading(() => this.#iterator.nextv(this.#parts.chunk))
      if (rows.length === 0) return
      this.#items = rows.flatMap((row) => this.#readRow(row))
      this.#at = 0
    }
  }

  close(): Promise<void> {
    return this.#iterator.close()
  }

  #readRow([key, value]: [Uint8Array, Uint8Array]): readonly Item[] {
    try {
      const { slice: filed, ...rest } = decodeIndexValue(key, value, this.#parts.crc32)
      const { sliceOf } = this.#parts
      if (sliceOf === undefined && !this.#slices.has(filed)) return []
      const head = key.subarray(this.#prefixBytes)
      const position = decodePosition(head)
      const slice = sliceOf?.({ type: this.#type, bucket: position.bucket, key: position.key }) ?? filed
      return this.#slices.has(slice) ? [{ head, entry: { ...position, slice, ...rest } }] : []
    } catch {
      this.#parts.reader.tellCorruptEntry(key)
      return []
    }
  }
}
