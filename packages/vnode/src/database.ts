import {
  AtollError,
  checkStorage,
  codeOf,
  decodeWith,
  EMPTY_BYTES,
  encodeWith,
  isAtollError,
  isError,
  messageOf,
  storageFailure,
  type TupleCodec,
} from '@atoll/core'
import { FORMAT_KEY } from './layout.ts'
import type { Database, SummedBytes } from './ports.ts'
import { type Crc32, seal, unseal } from './seal.ts'

/** Binary keys and values, whatever the database's own defaults are. */
export const BINARY = { keyEncoding: 'view', valueEncoding: 'view' } as const

/** How small notes are written that replace nothing but notes. */
export const NOTED = { ...BINARY, sync: true, tellsReplaced: true } as const

/** Whose data a database holds. */
export interface DatabaseFormat {
  readonly node: string
  readonly partitions: number
}

/** What is still to be done with what a build before has left. */
export interface FormatState {
  /**
   * False while records may lie under other partitions than those of their keys: in the first format, and while they are
   * filed anew.
   */
  readonly filedByKey: boolean
  /** False while index entries may lie in ranges of their partitions, as they did up to the second format. */
  readonly indexesInOrder: boolean
  /**
   * False while heads may lie by their names alone, as they did up to the fourth format, and large values with them, as
   * they did up to the third.
   */
  readonly headsInSegments: boolean
}

export const CONVERTED: FormatState = { filedByKey: true, indexesInOrder: true, headsInSegments: true }

export type StoredFormat = DatabaseFormat & FormatState

/**
 * Opens a database, and writes nothing. Throws `ATOLL_STORE_UNSUPPORTED` for one that `checkStorage` refuses,
 * `ATOLL_LOCKED` for one in use, `ATOLL_STORAGE`.
 */
export async function openDatabase(database: Database): Promise<void> {
  checkStorage(database)
  try {
    await database.open()
  } catch (cause) {
    throw openingFailed(cause)
  }
}

/**
 * Sees that an open database holds the vnodes of this node and ring, or nothing at all; only then is anything written.
 * Answers what is noted: the records are filed by the ring of that note, of which the ring may have got more partitions
 * since. From here on a build before refuses the database, for it would find neither index entries nor records. Throws
 * `ATOLL_FORMAT` or `ATOLL_STORAGE`.
 */
export async function claimDatabase(
  database: Database,
  format: DatabaseFormat,
  crc32: Crc32,
): Promise<StoredFormat> {
  const stored = await readBytes(database, FORMAT_KEY)
  if (stored !== undefined) {
    const found = readFormat(stored, crc32)
    checkFormat(found, format)
    if (!found.headsInSegments) await noteFormat(database, found, crc32)
    return found
  }
  if (await hasKeys(database, { gte: EMPTY_BYTES })) {
    throw new AtollError('ATOLL_FORMAT', 'the database holds the data of another program')
  }
  const begun = { ...format, ...CONVERTED }
  await noteFormat(database, begun, crc32)
  return begun
}

/** Notes whose the database is, and what is still to be done. */
export async function noteFormat(database: Database, format: StoredFormat, crc32: Crc32): Promise<void> {
  const value = seal(FORMAT_KEY, encodeWith(formatCodec, format), crc32)
  try {
    await database.batch([{ type: 'put', key: FORMAT_KEY, value }], NOTED)
  } catch (cause) {
    throw storageFailure('the database cannot be written', cause)
  }
}

/** Reads; throws `ATOLL_STORAGE` or `ATOLL_CLOSED` for what the database throws. A failed read is always definite. */
export async function reading<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw readFailed(error)
  }
}

export async function readBytes(database: Database, key: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    return await database.get(key, BINARY)
  } catch (error) {
    throw readFailed(error)
  }
}

/** As `readBytes`, with the CRC-32 of the bytes where the database knows it. Throws what the database throws. */
export function readSummed(
  database: Database,
  key: Uint8Array,
): SummedBytes | undefined | Promise<SummedBytes | undefined> {
  if (database.findSummed !== undefined) return database.findSummed(key)
  const { permanence, getSync } = database.supports
  if (permanence || getSync !== true || database.getSync === undefined)
    return database.get(key, BINARY).then(withoutSum)
  return withoutSum(database.getSync(key, BINARY))
}

function withoutSum(value: Uint8Array | undefined): SummedBytes | undefined {
  return value && { value, crc32: undefined }
}

/** Whether there is any key from `gte` on, before `lt`. */
export function hasKeys(
  database: Database,
  range: { readonly gte: Uint8Array; readonly lt?: Uint8Array },
): Promise<boolean> {
  return reading(async () => {
    const iterator = database.keys({ ...BINARY, ...range, limit: 1 })
    try {
      return (await iterator.nextv(1)).length > 0
    } finally {
      await iterator.close()
    }
  })
}

/** Whether there is any key in any of these ranges, which are looked at in order. */
export async function hasAnyKeys(
  database: Database,
  ranges: readonly { readonly gte: Uint8Array; readonly lt: Uint8Array }[],
): Promise<boolean> {
  for (const range of ranges) if (await hasKeys(database, range)) return true
  return false
}

/** What is thrown for what the database has thrown. */
export function readFailed(cause: unknown): AtollError {
  if (isAtollError(cause)) return cause
  if (hasCode(cause, 'LEVEL_DATABASE_NOT_OPEN') || hasCode(cause, 'LEVEL_ITERATOR_NOT_OPEN')) {
    return new AtollError('ATOLL_CLOSED', 'the database was closed', { cause })
  }
  return new AtollError('ATOLL_STORAGE', 'the database cannot be read', { cause, definite: true })
}

/** True if the error or any of its causes has the code: abstract-level wraps what the database below throws. */
export function hasCode(error: unknown, code: string): boolean {
  if (!isError(error)) return false
  return codeOf(error) === code || hasCode(error.cause, code)
}

/** LevelDB says of a damaged table, and a value log of a damaged value, that it cannot be read. */
export function isDamage(error: unknown): boolean {
  return hasCode(error, 'LEVEL_CORRUPTION') || hasCode(error, 'ATOLL_CORRUPT')
}

function openingFailed(cause: unknown): AtollError {
  const known = atollErrorIn(cause)
  if (known !== undefined) return known
  return hasCode(cause, 'LEVEL_LOCKED')
    ? new AtollError('ATOLL_LOCKED', `the database is in use: ${innermost(cause)}`, { cause })
    : storageFailure(`the database cannot be opened: ${innermost(cause)}`, cause, { definite: true })
}

/** What the database below says: it names the directory. */
function innermost(error: unknown): string {
  return isError(error) && error.cause !== undefined ? innermost(error.cause) : messageOf(error)
}

/** A database of Atoll's own says itself what is wrong; abstract-level wraps that. */
function atollErrorIn(error: unknown): AtollError | undefined {
  if (isAtollError(error)) return error
  return isError(error) ? atollErrorIn(error.cause) : undefined
}

const PROGRAM = 'atoll vnodes'

const formatCodec: TupleCodec<StoredFormat> = {
  name: 'the format of the database',
  version: 5,
  encode: ({ node, partitions, filedByKey, indexesInOrder, headsInSegments }) => [
    PROGRAM,
    node,
    partitions,
    filedByKey,
    indexesInOrder,
    headsInSegments,
  ],
  decode: (reader) => {
    if (reader.string() !== PROGRAM) throw new AtollError('ATOLL_CORRUPT', 'not the format of vnodes')
    const format = { node: reader.string(), partitions: reader.uint() }
    const state = { filedByKey: reader.boolean(), indexesInOrder: reader.boolean() }
    return { ...format, ...state, headsInSegments: reader.boolean() }
  },
  migrations: {
    1: (older) => [older.string(), older.string(), older.uint(), false],
    2: (older) => [older.string(), older.string(), older.uint(), older.boolean(), false],
    3: (older) => [older.string(), older.string(), older.uint(), older.boolean(), older.boolean(), false],
    // Whether large values lie apart. Records are brought where they belong one by one, and their values are looked at then.
    4: (older) => {
      const note = [older.string(), older.string(), older.uint(), older.boolean(), older.boolean()]
      older.boolean()
      return [...note, false]
    },
  },
}

function readFormat(stored: Uint8Array, crc32: Crc32): StoredFormat {
  try {
    return decodeWith(formatCodec, unseal(FORMAT_KEY, stored, crc32))
  } catch (cause) {
    if (isAtollError(cause, 'ATOLL_FORMAT')) throw cause
    const message = 'the database holds the data of another program, or its format note is damaged'
    throw new AtollError('ATOLL_FORMAT', message, { cause })
  }
}

function checkFormat(found: DatabaseFormat, expected: DatabaseFormat): void {
  if (found.node !== expected.node) {
    const message = `the database belongs to node ${found.node}, not to ${expected.node}`
    throw new AtollError('ATOLL_FORMAT', message)
  }
  if (found.partitions > expected.partitions) {
    const message = `the database has a ring of ${found.partitions} partitions, not of ${expected.partitions}`
    throw new AtollError('ATOLL_FORMAT', message)
  }
}
