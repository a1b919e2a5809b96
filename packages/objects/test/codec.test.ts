import { readFileSync } from 'node:fs'
import { decodeWith, encodeTuple, encodeWith, fromHex, type TupleCodec, toHex, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BucketRecord, decodeBucket, encodeBucket } from '../src/bucket-record.ts'
import { historyCodec, summaryCodec } from '../src/codec.ts'
import { activate, type History, latestMark, NO_HISTORY, retire } from '../src/history.ts'
import { decodeRecord, encodeRecord } from '../src/level-record.ts'
import { arbitraryHistory, manifest, upload } from './histories.ts'
import { manualRuntime } from './manual-runtime.ts'

const { crc32 } = manualRuntime().digest

function golden(name: string): Uint8Array {
  return fromHex(readFileSync(new URL(`golden/${name}.hex`, import.meta.url), 'utf8').trim())
}

function richHistory(): History {
  const [a, b, c, d] = ['01', '02', '04', '06'].map((byte) => byte.repeat(16))
  const old = retire(activate(NO_HISTORY, upload(b!), 1000), { version: 1000, uuid: b!, atMs: 2000 })
  const current = activate(old, upload(a!), 1_700_000_000_000)
  const writing = manifest(c!, 'writing', { blocks: 64, sealed: false, leaseEndsMs: 1_700_000_600_000 })
  const dead = manifest(d!, 'deleted', { blocks: 256, sealed: false, removedMs: 3000 })
  return { ...current, manifests: new Map([...current.manifests, [c!, writing], [d!, dead]]) }
}

describe('old bytes open, and new ones are the same', () => {
  function check<T>(name: string, codec: TupleCodec<T>, value: T): void {
    test(name, () => {
      const stored = golden(name)
      expect(toHex(encodeWith(codec, value))).toBe(toHex(stored))
      expect(decodeWith(codec, stored)).toEqual(value)
    })
  }

  check('history-v1', historyCodec, richHistory())
  check('history-empty-v1', historyCodec, NO_HISTORY)
  check('summary-v1', summaryCodec, {
    version: 12,
    uuid: '0a'.repeat(16),
    size: 5_000_000_000,
    md5: new Uint8Array(16).fill(3),
    modifiedMs: 11,
  })

  test.each<[string, BucketRecord]>([
    ['bucket-v1', { createdMs: 1_700_000_000_000, type: 'atoll', phase: 'open', life: undefined }],
    ['bucket-v2', { createdMs: 1_700_000_000_000, type: 'gold', phase: 'open', life: undefined }],
    [
      'bucket-proposed-v2',
      { createdMs: 1_700_000_000_000, type: 'gold', phase: 'proposed', life: undefined },
    ],
  ])('%s', (name, record) => {
    const stored = golden(name)
    expect(toHex(encodeBucket(record))).toBe(toHex(stored))
    expect(decodeBucket(stored)).toEqual(record)
    expect(stored[0], 'what a program of before can serve it can read').toBe(name === 'bucket-v1' ? 1 : 2)
  })

  test('a bucket of a type of its own is refused by programs that know of none', () => {
    const before: TupleCodec<number> = {
      name: 'bucket record',
      version: 1,
      encode: (createdMs) => [createdMs],
      decode: (reader) => reader.uint(),
    }
    expect(decodeWith(before, golden('bucket-v1'))).toBe(1_700_000_000_000)
    for (const name of ['bucket-v2', 'bucket-proposed-v2'])
      expect(() => decodeWith(before, golden(name))).toThrow(
        /has version 2; this program reads up to version 1/,
      )
  })

  test('level-record-v1', () => {
    const entry = { index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('p') }
    const siblings = [
      { event: 7, value: utf8('one'), valueCrc32: crc32(utf8('one')), indexes: [entry] },
      { event: 9, value: utf8(''), valueCrc32: 0, indexes: [] },
    ]
    const bytes = encodeRecord(siblings, crc32)
    const stored = golden('level-record-v1')
    expect(toHex(bytes)).toBe(toHex(stored))
    expect(decodeRecord(stored, crc32)).toEqual(siblings)
  })
})

test('every history comes back as it went in', () => {
  fc.assert(
    fc.property(arbitraryHistory, (history) => {
      const { retired, manifests } = decodeWith(historyCodec, encodeWith(historyCodec, history))
      expect(retired).toEqual(history.retired)
      expect(Object.fromEntries(manifests)).toEqual(Object.fromEntries(history.manifests))
    }),
  )
})

test('a history that contradicts itself, or is cut short, is corrupt', () => {
  const history = activate(NO_HISTORY, upload('02'.repeat(16)), 1000)
  const whole = encodeWith(historyCodec, history)
  for (let length = 0; length < whole.length; length++)
    expect(() => decodeWith(historyCodec, whole.subarray(0, length))).toThrow(/cannot be read|ends too early/)
  const [active] = history.manifests.values()
  const bad = [
    { ...active!, content: undefined },
    { ...active!, state: 'writing' as const },
    { ...active!, blocks: 4 },
    { ...active!, content: { ...active!.content!, md5: new Uint8Array(15) } },
    { ...active!, content: { ...active!.content!, size: 1 } },
    { ...active!, content: { ...active!.content!, inline: new Uint8Array(1) } },
  ]
  for (const wrong of bad) {
    const bytes = encodeWith(historyCodec, { ...history, manifests: new Map([[wrong.uuid, wrong]]) })
    expect(() => decodeWith(historyCodec, bytes)).toThrow(/contradicts itself/)
  }
  expect(() =>
    decodeWith(historyCodec, encodeTuple(1, [null, [[new Uint8Array(16), 4, 0, true, 0, 0, null]]])),
  ).toThrow(/no known state/)
  expect(() => decodeWith(historyCodec, encodeTuple(2, []))).toThrow(/version 2/)
  expect(latestMark(NO_HISTORY, 5)).toEqual(NO_HISTORY.retired)
})
