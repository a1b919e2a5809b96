import type { RecordHead } from '@atoll/causality'
import { concatBytes } from '@atoll/core'
import { BINARY, hasKeys, reading } from './database.ts'
import { keyChunks } from './fold.ts'
import type { IndexWhere } from './index-entry.ts'
import { NODE_INDEX } from './index-space.ts'
import type { KeyRange } from './keys.ts'
import { bodyKeyOf } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import type { RecordReader } from './record-reader.ts'

export interface DropParts {
  readonly database: Database
  readonly reader: RecordReader
  readonly where: IndexWhere
  /** What deletes a record with all that was written together with it. */
  readonly deletesOf: (key: Uint8Array, record: RecordHead) => readonly Operation[]
}

/** Records of one batch. */
const BATCH = 64
const UNSYNCED = { ...BINARY, sync: false }

/**
 * Deletes the records of a partition, and their index entries, which stand among those of other partitions: so the head of
 * each record is read for what it says of them, and goes in one batch with them and with its values. What is interrupted
 * leaves no entry and no values without their record. Records of a bucket type of which the node has no entry go unread.
 */
export async function dropRecords(parts: DropParts): Promise<void> {
  const { database, where } = parts
  const { layout } = where
  if (where.hasOwn) await database.clear({ ...BINARY, ...layout.ownIndex.range })
  for (let type = await firstType(parts, layout.dataRange); type !== undefined; ) {
    const range = layout.typeRange(type)
    const isIndexed = await hasKeys(database, NODE_INDEX.typeRange(type))
    if (await dropType(parts, { range, isIndexed })) await dropEntries(parts, type)
    // What could not be read lies there still.
    await database.clear({ ...BINARY, ...range })
    type = await firstType(parts, { gte: range.lt, lt: layout.dataRange.lt })
  }
  await database.clear({ ...BINARY, ...layout.bodyRange })
}

/** The bucket type of the first record of a range. */
async function firstType({ database, where }: DropParts, range: KeyRange): Promise<string | undefined> {
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

/** Answers whether there is a record that cannot say which entries it had. It waits for a look at all of them. */
async function dropType(
  parts: DropParts,
  { range, isIndexed }: { readonly range: KeyRange; readonly isIndexed: boolean },
): Promise<boolean> {
  const { database } = parts
  let lost = false
  for await (const keys of keyChunks(database, range)) {
    for (let at = 0; at < keys.length; at += BATCH) {
      const some = keys.slice(at, at + BATCH)
      const bodies = await bodyDeletes(database, some)
      const deletes = isIndexed
        ? await Promise.all(some.map((key) => deletesOfKey(parts, key)))
        : some.map(unread)
      lost ||= deletes.includes(undefined)
      const operations = [...bodies, ...deletes.flatMap((known) => known ?? [])]
      if (operations.length > 0) await database.batch(operations, UNSYNCED)
    }
  }
  return lost
}

function unread(key: Uint8Array): readonly Operation[] {
  return [{ type: 'del', key }]
}

/** Of the values of these records, which lie one after the other, that lie apart. */
async function bodyDeletes(database: Database, keys: readonly Uint8Array[]): Promise<readonly Operation[]> {
  const [first, last] = [keys[0], keys.at(-1)]
  if (first === undefined || last === undefined) return []
  const deletes: Operation[] = []
  const range = { gte: bodyKeyOf(first), lt: concatBytes([bodyKeyOf(last), new Uint8Array(1)]) }
  for await (const bodies of keyChunks(database, range))
    for (const key of bodies) deletes.push({ type: 'del', key })
  return deletes
}

/** Undefined if its record cannot be read. */
async function deletesOfKey(
  { reader, deletesOf }: DropParts,
  key: Uint8Array,
): Promise<readonly Operation[] | undefined> {
  const { record, corrupt } = await reader.head(key)
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
