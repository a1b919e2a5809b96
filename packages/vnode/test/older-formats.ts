import { decodeRecord } from '@atoll/causality'
import { encodeTuple, type TupleValue } from '@atoll/core'
import { BINARY } from '../src/database.ts'
import { decodeEnvelope, encodeEnvelope, movedEnvelope } from '../src/envelope.ts'
import type { Database } from '../src/index.ts'
import { FORMAT_KEY, olderKeyOf, VnodeLayout } from '../src/layout.ts'
import { seal } from '../src/seal.ts'
import { testRuntime } from './world.ts'

const { crc32 } = testRuntime().digest
/** Before the values, where they lie apart. */
const BODY_AT = 9

type Range = { readonly gte: Uint8Array; readonly lt: Uint8Array }

export async function rowsIn(database: Database, range: Range): Promise<readonly [Uint8Array, Uint8Array][]> {
  const iterator = database.iterator({ ...BINARY, ...range })
  return iterator.nextv(100_000).finally(() => iterator.close())
}

/** How many heads lie by segments, and where builds before have put them. */
export async function headsOf(database: Database, partitions = 8) {
  const counts = { heads: 0, older: 0 }
  for (let partition = 0; partition < partitions; partition++) {
    const { heads, olderHeads } = new VnodeLayout(partition)
    counts.heads += (await rowsIn(database, heads.range)).length
    counts.older += (await rowsIn(database, olderHeads.range)).length
  }
  return counts
}

/** Puts the heads of all records to where the fourth format had them, and notes that. */
export async function withHeadsByName(database: Database, partitions = 8): Promise<number> {
  let moved = 0
  for (let partition = 0; partition < partitions; partition++) {
    const { heads } = new VnodeLayout(partition)
    for (const [key, bytes] of await rowsIn(database, heads.range)) {
      const to = olderKeyOf(key)
      const value = movedEnvelope(bytes, { from: key, to }, crc32)
      await database.batch(
        [
          { type: 'del', key },
          { type: 'put', key: to, value },
        ],
        { ...BINARY, sync: true },
      )
      moved += 1
    }
  }
  await noteFormatOf(database, 4, [partitions, true, true, true])
  return moved
}

/** Puts the values of all records back to their heads as well, as the third format had them, and notes that. */
export async function withValuesAtHeads(database: Database, partitions = 8): Promise<number> {
  await withHeadsByName(database, partitions)
  let moved = 0
  for (let partition = 0; partition < partitions; partition++) {
    const layout = new VnodeLayout(partition)
    for (const [bodyKey, body] of await rowsIn(database, layout.bodies.range)) {
      const key = olderKeyOf(bodyKey)
      const { headOfBody } = decodeEnvelope(key, (await database.get(key, BINARY))!, { crc32 })
      const record = decodeRecord(headOfBody!, body.subarray(BODY_AT))
      const value = encodeEnvelope(key, record, { crc32 })
      await database.batch(
        [
          { type: 'put', key, value },
          { type: 'del', key: bodyKey },
        ],
        { ...BINARY, sync: true },
      )
      moved += 1
    }
  }
  await noteFormatOf(database, 3, [partitions, true, true])
  return moved
}

/** Notes what a build of that format would have. */
export async function noteFormatOf(
  database: Database,
  version: number,
  facts: readonly TupleValue[],
): Promise<void> {
  const value = seal(FORMAT_KEY, encodeTuple(version, ['atoll vnodes', 'n1', ...facts]), crc32)
  await database.batch([{ type: 'put', key: FORMAT_KEY, value }], { ...BINARY, sync: true })
}
