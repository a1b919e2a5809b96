import type { StoredRecord } from '@atoll/causality'
import { equalBytes, type KeyId } from '@atoll/core'
import type { AbstractSnapshot } from 'abstract-level'
import { BINARY, reading } from './database.ts'
import type { KeyRange } from './keys.ts'
import { bodyKeyOf, type HeadSpace, type VnodeLayout } from './layout.ts'
import type { Database, DatabaseIterator } from './ports.ts'
import { type RecordReader, wholeOf } from './record-reader.ts'

export interface FoldParts {
  readonly database: Database
  readonly reader: RecordReader
  /** Whether heads may lie where builds before have put them. */
  readonly hasOlder: boolean
  readonly signal: AbortSignal | undefined
}

export interface FoldItem {
  readonly id: KeyId
  readonly record: StoredRecord
}

/** Records at a time; a database that knows `highWaterMarkBytes` stops earlier, so that blocks do not pile up. */
const CHUNK = 64
const FOLD_READ = { ...BINARY, highWaterMarkBytes: 1024 * 1024 }
const KEY_CHUNK = 1000

/** Every sound record of a vnode, in no order, as of the first step; a damaged one is counted and left out. */
export async function* foldRecords(layout: VnodeLayout, parts: FoldParts): AsyncGenerator<FoldItem, void> {
  const { database, reader, hasOlder, signal } = parts
  signal?.throwIfAborted()
  const rows = await reading(async () => new SnapshotRows(database, layout, hasOlder))
  try {
    for (;;) {
      const chunk = await reading(() => rows.next())
      if (chunk.length === 0) return
      for (const [key, bytes] of chunk) {
        signal?.throwIfAborted()
        const { record, corrupt, headOfBody } = reader.decode(key, bytes)
        if (record === undefined || corrupt) continue
        if (headOfBody === undefined) {
          yield { id: layout.idOf(key), record: wholeOf(record).record }
          continue
        }
        const body = await reading(() => rows.body(key))
        const whole = reader.body(key, headOfBody, body)
        if (whole !== undefined) yield { id: layout.idOf(key), record: whole }
      }
    }
  } finally {
    await rows.close()
  }
}

/** How many keys there are in these ranges. Reads every one. */
export async function countKeys(database: Database, ranges: readonly KeyRange[]): Promise<number> {
  let count = 0
  for (const range of ranges) for await (const keys of keyChunks(database, range)) count += keys.length
  return count
}

/** Every key of a range, some at a time. */
export async function* keyChunks(
  database: Database,
  range: KeyRange,
): AsyncGenerator<readonly Uint8Array[], void> {
  const iterator = await reading(async () => database.keys({ ...BINARY, ...range }))
  try {
    for (;;) {
      const keys = await reading(() => iterator.nextv(KEY_CHUNK))
      if (keys.length === 0) return
      yield keys
    }
  } finally {
    await iterator.close()
  }
}

type Rows = DatabaseIterator<[Uint8Array, Uint8Array]>

/** The records of a vnode as of now, and their values where these lie apart. */
class SnapshotRows {
  readonly #snapshot: AbstractSnapshot | undefined
  readonly #heads: readonly Rows[]
  readonly #bodies: Rows

  constructor(database: Database, layout: VnodeLayout, hasOlder: boolean) {
    this.#snapshot = database.supports.explicitSnapshots ? database.snapshot() : undefined
    // Without explicit snapshots iterators that are opened in one go see the same.
    const open = ({ range }: HeadSpace) =>
      database.iterator({ ...FOLD_READ, ...range, snapshot: this.#snapshot })
    this.#heads = layout.spaces(hasOlder).map(open)
    this.#bodies = open(layout.bodies)
  }

  async next(): Promise<[Uint8Array, Uint8Array][]> {
    for (const heads of this.#heads) {
      const rows = await heads.nextv(CHUNK)
      if (rows.length > 0) return rows
    }
    return []
  }

  /** The values of the record of a key; undefined if they are not there. */
  async body(dataKey: Uint8Array): Promise<Uint8Array | undefined> {
    const key = bodyKeyOf(dataKey)
    this.#bodies.seek(key, { keyEncoding: 'view' })
    const [row] = await this.#bodies.nextv(1)
    return row !== undefined && equalBytes(row[0], key) ? row[1] : undefined
  }

  async close(): Promise<void> {
    for (const heads of this.#heads) await heads.close()
    await this.#bodies.close()
    await this.#snapshot?.close()
  }
}
