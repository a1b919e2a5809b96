import type { StoredRecord } from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import { BINARY, readFailed } from './database.ts'
import type { VnodeLayout } from './layout.ts'
import type { Database } from './ports.ts'
import type { RecordReader } from './record-reader.ts'

export interface FoldParts {
  readonly database: Database
  readonly reader: RecordReader
  readonly signal: AbortSignal | undefined
}

export interface FoldItem {
  readonly id: KeyId
  readonly record: StoredRecord
}

/** Records at a time; a database that knows `highWaterMarkBytes` stops earlier, so that blocks do not pile up. */
const CHUNK = 64
const FOLD_READ = { ...BINARY, highWaterMarkBytes: 1024 * 1024 }
const COUNT_CHUNK = 1000

/** Every sound record of a vnode in the order of keys, as of the first step; a damaged one is counted and left out. */
export async function* foldRecords(layout: VnodeLayout, parts: FoldParts): AsyncGenerator<FoldItem, void> {
  const { database, reader, signal } = parts
  signal?.throwIfAborted()
  const snapshot = database.supports.explicitSnapshots ? database.snapshot() : undefined
  const iterator = database.iterator({ ...FOLD_READ, ...layout.dataRange, snapshot })
  try {
    for (;;) {
      const rows = await iterator.nextv(CHUNK).catch((error: unknown) => Promise.reject(readFailed(error)))
      if (rows.length === 0) return
      for (const [key, bytes] of rows) {
        signal?.throwIfAborted()
        const { record, corrupt } = reader.decode(key, bytes)
        if (record !== undefined && !corrupt) yield { id: layout.idOf(key), record }
      }
    }
  } finally {
    await iterator.close()
    await snapshot?.close()
  }
}

/** How many records a vnode holds, sound or not. Reads every key. */
export async function countRecords(database: Database, layout: VnodeLayout): Promise<number> {
  const iterator = database.keys({ ...BINARY, ...layout.dataRange })
  try {
    let count = 0
    for (;;) {
      const keys = await iterator.nextv(COUNT_CHUNK)
      if (keys.length === 0) return count
      count += keys.length
    }
  } catch (error) {
    throw readFailed(error)
  } finally {
    await iterator.close()
  }
}

/** Whether a vnode holds anything. */
export async function hasRecords(database: Database, layout: VnodeLayout): Promise<boolean> {
  const iterator = database.keys({ ...BINARY, ...layout.dataRange, limit: 1 })
  try {
    return (await iterator.nextv(1)).length > 0
  } catch (error) {
    throw readFailed(error)
  } finally {
    await iterator.close()
  }
}
