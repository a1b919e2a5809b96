import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { StoredRecord } from '@atoll/causality'
import { decodeWith, fromHex, sumForGood, toHex, utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { checkValues, decodeEnvelope, encodeEnvelope, NOTHING_STORED } from '../src/envelope.ts'
import { Incarnation } from '../src/incarnation.ts'
import { decodeIndexValue, indexOperations } from '../src/index-entry.ts'
import { NODE_INDEX } from '../src/index-space.ts'
import { olderKeyOf, VnodeLayout } from '../src/layout.ts'
import { wholeOf } from '../src/record-reader.ts'
import { unseal } from '../src/seal.ts'
import { goldenBytes } from './golden.ts'
import { id, inHex } from './world.ts'

const layout = new VnodeLayout(3)
/** Where builds before have put it. */
const key = olderKeyOf(layout.dataKey(id('key')))

const RECORD: StoredRecord = {
  clock: new Map([
    ['00000000000000aa', 7],
    ['00000000000000bb', 2],
  ]),
  siblings: [
    {
      dot: { actor: '00000000000000aa', counter: 7 },
      value: utf8('first value'),
      valueCrc32: crc32('first value'),
      metadata: new Map([['type', 'text/plain']]),
      tombstone: false,
      expiresAtMs: 99,
      indexes: [{ index: 'list', scope: utf8('scope'), term: utf8('term'), payload: utf8('payload') }],
      timestampMs: 1_700_000_000_000,
      writeId: new Uint8Array(16).fill(1),
    },
    {
      dot: { actor: '00000000000000bb', counter: 2 },
      value: utf8('2nd'),
      valueCrc32: crc32('2nd'),
      metadata: new Map(),
      tombstone: false,
      expiresAtMs: undefined,
      indexes: [],
      timestampMs: 1_700_000_000_001,
      writeId: new Uint8Array(16).fill(2),
    },
  ],
}

/** Bytes that an earlier version of the program wrote. A new version of a format gets a file beside the old ones. */
describe('the envelope of a record', () => {
  const bytes = encodeEnvelope(key, RECORD, { crc32 })

  it('opens what was stored, and what older programs stored', () => {
    expect(decodeEnvelope(key, bytes, { crc32 })).toEqual({
      record: RECORD,
      corrupt: false,
      bytes: bytes.length,
      bodyBytes: 0,
    })
    const old = goldenBytes('record-v1', bytes)
    expect(decodeEnvelope(key, old, { crc32 })).toEqual(decodeEnvelope(key, bytes, { crc32 }))
    expect(toHex(bytes)).toBe(toHex(old))
  })

  it('gives out nothing if any byte differs', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const bad = new Uint8Array(bytes)
        bad[at] = (bad[at] ?? 0) ^ flip
        expect(decodeEnvelope(key, bad, { crc32 }).corrupt, `byte ${at}`).toBe(true)
      }
    }
  })

  it('gives out nothing if bytes are missing, or too many', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeEnvelope(key, bytes.subarray(0, length), { crc32 }).corrupt).toBe(true)
    }
    expect(decodeEnvelope(key, new Uint8Array([...bytes, 0]), { crc32 }).corrupt).toBe(true)
    expect(decodeEnvelope(key, new Uint8Array(bytes.length), { crc32 })).not.toEqual(NOTHING_STORED)
  })

  it('gives out nothing under the key of another record', () => {
    expect(decodeEnvelope(layout.dataKey(id('kez')), bytes, { crc32 }).corrupt).toBe(true)
  })

  it('still tells of a bad value what its head says', () => {
    const bad = new Uint8Array(bytes)
    bad[bytes.length - 1] = 0
    const { record, corrupt } = decodeEnvelope(key, bad, { crc32 })
    expect(corrupt).toBe(true)
    expect(record?.clock).toEqual(RECORD.clock)
  })

  it('is known to be sound by its whole sum, without a second look at a large value', () => {
    const value = new Uint8Array(100_000).fill(7)
    const [first] = RECORD.siblings
    const clock = new Map([['00000000000000aa', 7]])
    const record = { clock, siblings: [{ ...first!, value, valueCrc32: crc32(value) }] }
    const whole = encodeEnvelope(key, record, { crc32 })
    let summedBytes = 0
    const counting = (bytes: Uint8Array, seed?: number) => {
      summedBytes += bytes.length
      return crc32(bytes, seed)
    }
    const read = () => decodeEnvelope(key, whole, { crc32: counting, sum: crc32(whole) })
    const sound = read()
    const expected = { record: inHex(record), corrupt: false, bytes: whole.length, bodyBytes: 0 }
    const { record: found } = wholeOf(sound.record!)
    expect({ ...sound, record: inHex(found) }).toEqual(expected)
    expect(summedBytes).toBeLessThan(1000)
    whole[50_000] = 0
    expect(read().corrupt).toBe(true)
    expect(decodeEnvelope(key, whole, { crc32, sum: 0 }).corrupt).toBe(true)
  })

  it('is not summed once more if it was summed for good, and is refused all the same if that is another sum', () => {
    const value = new Uint8Array(100_000).fill(9)
    const sum = sumForGood(value, crc32)
    const [first] = RECORD.siblings
    const recordOf = (valueCrc32: number): StoredRecord => ({
      ...RECORD,
      siblings: [{ ...first!, value, valueCrc32 }],
    })
    const unused = () => {
      throw new Error('nothing has to be read')
    }
    checkValues(recordOf(sum), unused)
    expect(() => checkValues(recordOf(sum ^ 1), crc32)).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT' }),
    )
  })

  it('refuses values that are not those of the record', () => {
    const [first, second] = RECORD.siblings
    checkValues(RECORD, crc32)
    const bad = { ...RECORD, siblings: [first!, { ...second!, value: utf8('2nt') }] }
    expect(() => checkValues(bad, crc32)).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
  })
})

describe('smaller stored things', () => {
  it('index entries open as older programs wrote them, and not with a bad byte', () => {
    const sha1 = (data: Uint8Array) => data.slice(0, 20)
    const [put] = indexOperations(
      { id: id('key'), before: undefined, after: RECORD },
      { layout, hasOwn: false, crc32, sha1, sliceOf: () => 5 },
    )
    if (put?.type !== 'put') throw new Error('no entry was written')
    const old = goldenBytes('index-entry-in-order', put.value)
    const expected = { slice: 5, clockDigest: expect.any(Uint8Array), payloads: [utf8('payload')] }
    expect(decodeIndexValue(put.key, old, crc32)).toEqual(expected)
    expect(toHex(put.value)).toBe(toHex(old))
    const path = new URL('golden/index-entry-v1.hex', import.meta.url)
    const before = fromHex(readFileSync(path, 'utf8').trim())
    const keyBefore = layout.ownIndex.key(NODE_INDEX.parse(put.key))
    expect(decodeIndexValue(keyBefore, before, crc32)).toEqual(expected)
    for (let at = 0; at < old.length; at++) {
      const bad = new Uint8Array(old)
      bad[at] = (bad[at] ?? 0) ^ 0x10
      expect(() => decodeIndexValue(put.key, bad, crc32)).toThrow()
    }
  })

  it('the incarnation opens as it was written, and a bad one, or one of another lineage, is a new actor', () => {
    const random = { bytes: (length: number) => new Uint8Array(length).fill(9), below: () => 0 }
    const parts = { random, crc32, key: layout.incarnationKey, lineage: { name: 'here', continues: true } }
    const { operations } = new Incarnation(parts, undefined).claim()
    const [put] = operations
    if (put?.type !== 'put') throw new Error('no lease was written')
    const stored = goldenBytes('incarnation-v2', put.value)
    expect(toHex(put.value)).toBe(toHex(stored))
    expect(new Incarnation(parts, stored).claim().dot).toEqual({ actor: '0909090909090909', counter: 10_001 })
    const bad = new Uint8Array(stored)
    bad[3] = (bad[3] ?? 0) ^ 1
    expect(new Incarnation(parts, bad).claim().dot.counter).toBe(1)
    expect(decodeWith(ANY, unseal(parts.key, stored, crc32))).toBe(3)
    for (const lineage of [
      { name: 'there', continues: true },
      { name: 'here', continues: false },
    ])
      expect(new Incarnation({ ...parts, lineage }, stored).claim().dot.counter).toBe(1)
  })

  it('what older programs wrote of an incarnation opens, and says nothing of its lineage: a new actor', () => {
    const random = { bytes: (length: number) => new Uint8Array(length).fill(9), below: () => 0 }
    const parts = { random, crc32, key: layout.incarnationKey, lineage: { name: 'here', continues: true } }
    const path = new URL('golden/incarnation-v1.hex', import.meta.url)
    const old = fromHex(readFileSync(path, 'utf8').trim())
    expect(new Incarnation(parts, old).claim().dot.counter).toBe(1)
    const asIs = { ...parts, lineage: { name: '', continues: true } }
    expect(new Incarnation(asIs, old).claim().dot.counter).toBe(10_001)
  })
})

const ANY = {
  name: 'three fields',
  version: 2,
  encode: () => [],
  decode: (reader: import('@atoll/core').TupleReader) => {
    reader.string()
    reader.uint()
    reader.string()
    return 3
  },
}
