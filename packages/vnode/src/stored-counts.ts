import {
  COUNT_RANGE,
  type CountMark,
  type CountRow,
  PAGE_RANGE,
  readCountRow,
  SLIPS,
  slipRanges,
} from './count-rows.ts'
import { BINARY, reading } from './database.ts'
import type { KeyRange } from './keys.ts'
import type { Database } from './ports.ts'
import type { Crc32 } from './seal.ts'

/** What there is on the disk of counts. */
export interface StoredCountRows {
  /** The rows that count: of slips none that is on the pages, where there is a mark. */
  readonly rows: readonly CountRow[]
  /** How far the pages go; undefined if nobody knows, and so all rows were read. */
  readonly mark: CountMark | undefined
  /** Bytes of the largest row that was ever written. */
  readonly mostBytes: number
}

interface Means {
  readonly database: Database
  readonly crc32: Crc32
}

/** Answers false where it wants no more. */
type Take = (row: CountRow, bytes: number) => boolean

const CHUNK = 1000
/** Of slips: mostly there are few behind the mark. */
const SLIP_CHUNK = 32
/** Of a database that knows it: with its own default, of some KiB, there would be a hundred reads. */
const LARGE_READS = { highWaterMarkBytes: 1024 * 1024 }

/**
 * Reads what says the counts as of the last batch: the pages, and the slips behind their mark. All rows where there is no
 * mark, or where a build that sets none may have written since.
 */
export async function readCounts(means: Means): Promise<StoredCountRows> {
  const paged = await rowsIn(means, PAGE_RANGE)
  const mark = markIn(paged.rows)
  if (mark === undefined) return { ...(await rowsIn(means, COUNT_RANGE)), mark }
  const behind = await slipsBehind(means, mark)
  if (behind === undefined) return { ...(await rowsIn(means, COUNT_RANGE)), mark: undefined }
  const mostBytes = Math.max(mark.mostBytes, paged.mostBytes, behind.mostBytes)
  return { rows: [...paged.rows, ...behind.rows], mark, mostBytes }
}

/** The keys of all rows, whatever they say. */
export async function keysOfCounts({ database }: Pick<Means, 'database'>): Promise<readonly Uint8Array[]> {
  return reading(async () => {
    const iterator = database.keys({ ...BINARY, ...COUNT_RANGE })
    try {
      const keys: Uint8Array[] = []
      for (;;) {
        const some = await iterator.nextv(CHUNK)
        if (some.length === 0) return keys
        for (const key of some) keys.push(new Uint8Array(key))
      }
    } finally {
      await iterator.close()
    }
  })
}

/**
 * The mark, if no other build has written behind it. One that sets none leaves it as it is, and writes a page that is
 * younger with its first batch, or a slip that follows on the last one. It gives numbers to batches without slips as
 * well, which are those that change nothing but a vnode that nobody has counted. So where there is one, the mark says
 * nothing.
 */
function markIn(rows: readonly CountRow[]): CountMark | undefined {
  const kept = rows.find((row) => row.kind === 'kept')
  const mark = kept?.mark
  if (mark === undefined) return undefined
  const isBefore = (row: CountRow) =>
    row.kind === 'page'
      ? row.page.counts !== undefined && row.page.sequence <= mark.pagedAt
      : row.kind === 'kept'
  return rows.every(isBefore) ? mark : undefined
}

async function rowsIn(means: Means, range: KeyRange): Promise<Omit<StoredCountRows, 'mark'>> {
  const rows: CountRow[] = []
  let mostBytes = 0
  await walk(means, range, CHUNK, (row, bytes) => {
    mostBytes = Math.max(mostBytes, bytes)
    rows.push(row)
    return true
  })
  return { rows, mostBytes }
}

/**
 * The slips of the batches behind the mark, which follow each other in the ring, and end at one of a round before. Undefined
 * if they do not: then a build has written them that sets no mark.
 */
async function slipsBehind(
  means: Means,
  { pagedAt }: CountMark,
): Promise<Omit<StoredCountRows, 'mark'> | undefined> {
  const rows: CountRow[] = []
  let mostBytes = 0
  let isWhole = true
  const take = (row: CountRow, bytes: number) => {
    const expected = pagedAt + 1 + rows.length
    const sequence = row.kind === 'slip' ? row.slip.sequence : expected
    if (sequence <= pagedAt) return false
    isWhole = sequence === expected && rows.length < SLIPS
    if (!isWhole) return false
    mostBytes = Math.max(mostBytes, bytes)
    rows.push(row)
    return row.kind === 'slip'
  }
  for (const range of slipRanges(pagedAt + 1)) if (!(await walk(means, range, SLIP_CHUNK, take))) break
  return isWhole ? { rows, mostBytes } : undefined
}

/** False if it was told to stop. */
function walk({ database, crc32 }: Means, range: KeyRange, size: number, take: Take): Promise<boolean> {
  return reading(async () => {
    const iterator = database.iterator({ ...BINARY, ...range, ...LARGE_READS })
    try {
      for (;;) {
        const some = await iterator.nextv(size)
        if (some.length === 0) return true
        for (const [key, value] of some)
          if (!take(readCountRow(new Uint8Array(key), value, crc32), value.length)) return false
      }
    } finally {
      await iterator.close()
    }
  })
}
