import { decodeRecord } from '@atoll/causality'
import { encodeTuple } from '@atoll/core'
import { decodeEnvelope, encodeEnvelope } from '../src/envelope.ts'
import type { Database } from '../src/index.ts'
import { FORMAT_KEY, VnodeLayout } from '../src/layout.ts'
import { seal } from '../src/seal.ts'
import { testRuntime } from './world.ts'

const BINARY = { keyEncoding: 'view', valueEncoding: 'view' } as const
const { crc32 } = testRuntime().digest
/** Before the values, where they lie apart. */
const BODY_AT = 9

/** Puts the values of all records back to their heads, as the third format had them, and notes that. */
export async function withValuesAtHeads(database: Database, partitions = 8): Promise<number> {
  let moved = 0
  for (let partition = 0; partition < partitions; partition++) {
    const { bodyRange } = new VnodeLayout(partition)
    const iterator = database.iterator({ ...BINARY, ...bodyRange })
    const rows = await iterator.nextv(10_000).finally(() => iterator.close())
    for (const [bodyKey, body] of rows) {
      const key = Uint8Array.from(
        Buffer.from(Buffer.from(bodyKey).toString('latin1').replace('!!body!', '!!data!'), 'latin1'),
      )
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
  const note = encodeTuple(3, ['atoll vnodes', 'n1', partitions, true, true])
  const value = seal(FORMAT_KEY, note, crc32)
  await database.batch([{ type: 'put', key: FORMAT_KEY, value }], { ...BINARY, sync: true })
  return moved
}
