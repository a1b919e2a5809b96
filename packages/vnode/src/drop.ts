import type { StoredRecord } from '@atoll/causality'
import { BINARY, hasKeys, reading } from './database.ts'
import { keyChunks } from './fold.ts'
import type { IndexWhere } from './index-entry.ts'
import { NODE_INDEX } from './index-space.ts'
import type { Database, Operation } from './ports.ts'
import type { RecordReader } from './record-reader.ts'

export interface DropParts {
  readonly database: Database
  readonly reader: RecordReader
  readonly where: IndexWhere
  /** What deletes a record with all that was written together with it. */
  readonly deletesOf: (key: Uint8Array, record: StoredRecord) => readonly Operation[]
}

/** Records of one batch. */
const BATCH = 64
const UNSYNCED = { ...BINARY, sync: false }

/**
 * Deletes the records of a partition, and their index entries, which stand among those of other partitions: so each
 * record is read for what it says of them, and goes in one batch with them. What is interrupted leaves no entry without
 * its record. Records of a bucket type of which the node has no entry go unread.
 */
export async function dropRecords(parts: DropParts): Promise<void> {
  const { database, where } = parts
  const { layout } = where
  if (where.hasOwn) await database.clear({ ...BINARY, ...layout.ownIndex.range })
  for (let type = await firstType(parts, layout.dataRange); type !== undefined; ) {
    if (await hasKeys(database, NODE_INDEX.typeRange(type))) await dropIndexed(parts, type)
    const range = layout.typeRange(type)
    await database.clear({ ...BINARY, ...range })
    type = await firstType(parts, { gte: range.lt, lt: layout.dataRange.lt })
  }
}

/** The bucket type of the first record of a range. */
async function firstType(
  { database, where }: DropParts,
  range: { readonly gte: Uint8Array; readonly lt: Uint8Array },
): Promise<string | undefined> {
  return reading(async () => {
    const iterator = database.keys({ ...BINARY, ...range, limit: 1 })
    try {
      const [key] = await iterator.nextv(1)
      return key === undefined ? undefined : where.layout.idOf(key).type
    } finally {
      await iterator.close()
    }
  })
}

/** A record that cannot say which entries it had leaves them for a look at all entries of the type, before it goes. */
async function dropIndexed(parts: DropParts, type: string): Promise<void> {
  const { database, where } = parts
  let lost = false
  for await (const keys of keyChunks(database, where.layout.typeRange(type))) {
    for (let at = 0; at < keys.length; at += BATCH) {
      const some = keys.slice(at, at + BATCH)
      const deletes = await Promise.all(some.map((key) => deletesOfKey(parts, key)))
      lost ||= deletes.includes(undefined)
      const operations = deletes.flatMap((known) => known ?? [])
      if (operations.length > 0) await database.batch(operations, UNSYNCED)
    }
  }
  if (lost) await dropEntries(parts, type)
}

/** Undefined if its record cannot be read. */
async function deletesOfKey(
  { reader, deletesOf }: DropParts,
  key: Uint8Array,
): Promise<readonly Operation[] | undefined> {
  const { record, corrupt } = await reader.peek(key)
  if (record === undefined) return corrupt ? undefined : []
  return deletesOf(key, record)
}

/** Deletes what entries of the partition are left. */
async function dropEntries({ database, where }: DropParts, type: string): Promise<void> {
  const { partition } = where.layout
  for await (const keys of keyChunks(database, NODE_INDEX.typeRange(type))) {
    const own = keys.filter((key) => NODE_INDEX.partitionOf(key) === partition)
    if (own.length === 0) continue
    const deletes = own.map((key): Operation => ({ type: 'del', key }))
    await database.batch(deletes, UNSYNCED)
  }
}
