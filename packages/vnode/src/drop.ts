import type { RecordHead } from '@atoll/causality'
import { BINARY, hasKeys, reading } from './database.ts'
import { keyChunks } from './fold.ts'
import type { IndexWhere } from './index-entry.ts'
import { NODE_INDEX } from './index-space.ts'
import type { KeyRange } from './keys.ts'
import { type HeadSpace, nameBytesOf, olderKeyOf } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import type { RecordReader } from './record-reader.ts'

export interface DropParts {
  readonly database: Database
  readonly reader: RecordReader
  readonly where: IndexWhere
  /** Whether heads may lie where builds before have put them. */
  readonly hasOlder: boolean
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
 * Those with values apart go first, in the order of these.
 */
export async function dropRecords(parts: DropParts): Promise<void> {
  const { database, hasOlder, where } = parts
  const { layout } = where
  if (where.hasOwn) await database.clear({ ...BINARY, ...layout.ownIndex.range })
  await dropSpace(parts, layout.bodies, {
    read: (key) => deletesWithBody(parts, key),
    unread: (key) => {
      const dataKey = layout.dataKeyAt(nameBytesOf(key))
      return (hasOlder ? [key, dataKey, olderKeyOf(dataKey)] : [key, dataKey]).map(deleteOf)
    },
  })
  for (const space of layout.spaces(hasOlder)) {
    const read = (key: Uint8Array) => deletesOfHead(parts, key)
    await dropSpace(parts, space, { read, unread: (key) => [deleteOf(key)] })
  }
}

/** What deletes the record of a key. */
interface Dropping {
  /** Undefined if its head cannot be read: then something of it may be left. */
  readonly read: (key: Uint8Array) => Promise<readonly Operation[] | undefined>
  /** Where there are no index entries. */
  readonly unread: (key: Uint8Array) => readonly Operation[]
}

/** The records of which there is something in a range, one bucket type after the other. */
async function dropSpace(parts: DropParts, space: HeadSpace, dropping: Dropping): Promise<void> {
  const { database } = parts
  for (let type = await firstType(parts, space.range); type !== undefined; ) {
    const range = space.typeRange(type)
    const isIndexed = await hasKeys(database, NODE_INDEX.typeRange(type))
    const deletesOf = isIndexed ? dropping.read : dropping.unread
    if (await dropType(database, range, deletesOf)) await dropEntries(parts, type)
    // What could not be read lies there still.
    await database.clear({ ...BINARY, ...range })
    type = await firstType(parts, { gte: range.lt, lt: space.range.lt })
  }
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
  database: Database,
  range: KeyRange,
  deletesOf: Dropping['read'] | Dropping['unread'],
): Promise<boolean> {
  let lost = false
  for await (const keys of keyChunks(database, range)) {
    for (let at = 0; at < keys.length; at += BATCH) {
      const deletes = await Promise.all(keys.slice(at, at + BATCH).map((key) => deletesOf(key)))
      lost ||= deletes.includes(undefined)
      const operations = deletes.flatMap((known) => known ?? [])
      if (operations.length > 0) await database.batch(operations, UNSYNCED)
    }
  }
  return lost
}

function deleteOf(key: Uint8Array): Operation {
  return { type: 'del', key }
}

async function deletesWithBody(
  { reader, where, deletesOf }: DropParts,
  bodyKey: Uint8Array,
): Promise<readonly Operation[] | undefined> {
  const key = where.layout.dataKeyAt(nameBytesOf(bodyKey))
  const { record, corrupt, isOlder } = await reader.head(key)
  if (record === undefined) return corrupt ? undefined : [deleteOf(bodyKey)]
  return [deleteOf(bodyKey), ...deletesOf(isOlder ? olderKeyOf(key) : key, record)]
}

/** Undefined if its record cannot be read. */
async function deletesOfHead(
  { reader, deletesOf }: DropParts,
  key: Uint8Array,
): Promise<readonly Operation[] | undefined> {
  const { record, corrupt } = await reader.headAt(key)
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
