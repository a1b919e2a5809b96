import { readFileSync, writeFileSync } from 'node:fs'
import type { StoredRecord } from '@atoll/causality'
import { decodeWith, encodeTuple, fromHex, toHex, utf8 } from '@atoll/core'
import type { Message, MessageCodec } from '@atoll/transport'
import { describe, expect, it } from 'vitest'
import { coordinateMethod, getMethod, putMethod, scanMethod } from '../src/methods.ts'
import { content, id } from './world.ts'

const RECORD: StoredRecord = {
  clock: new Map([['00000000000000aa', 7]]),
  siblings: [
    {
      ...content('value', { metadata: new Map([['a', 'b']]) }),
      dot: { actor: '00000000000000aa', counter: 7 },
      valueCrc32: 494_360_628,
      timestampMs: 1_700_000_000_000,
      writeId: new Uint8Array(16).fill(1),
    },
  ],
}

const POSITION = { term: utf8('term'), bucket: utf8('b'), key: utf8('k') }

/** One of every message, as it goes over the wire. */
const MESSAGES: Record<string, [MessageCodec<unknown>, unknown]> = {
  'get-request': [getMethod.request, { partition: 3, id: id('k') }],
  'get-reply': [getMethod.response, { record: RECORD, corrupt: false }],
  'get-reply-none': [getMethod.response, { record: undefined, corrupt: true }],
  'put-request': [putMethod.request, { partition: 3, id: id('k'), record: RECORD }],
  'put-reply': [putMethod.response, { changed: true }],
  'put-accepted': [putMethod.progress!, 'accepted'],
  'coordinate-request': [
    coordinateMethod.request,
    {
      partition: 3,
      id: id('k'),
      content: content('value', {
        expiresAtMs: 12,
        metadata: new Map([['a', 'b']]),
        indexes: [{ index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('p') }],
      }),
      valueCrc32: 1,
      context: { vector: RECORD.clock, timestampMs: 99 },
      writeId: new Uint8Array(16).fill(2),
    },
  ],
  'coordinate-request-blind': [
    coordinateMethod.request,
    {
      partition: 3,
      id: id('k'),
      content: content('', { tombstone: true }),
      valueCrc32: 0,
      context: undefined,
      writeId: new Uint8Array(16).fill(2),
    },
  ],
  'coordinate-reply': [coordinateMethod.response, { record: RECORD }],
  'scan-request': [
    scanMethod.request,
    {
      vnodes: [
        { partition: 1, slices: [1, 2] },
        { partition: 4, slices: [] },
      ],
      type: 'default',
      index: 'list',
      scope: utf8('s'),
      from: utf8('a'),
      to: utf8('b'),
      after: POSITION,
      limit: 100,
    },
  ],
  'scan-reply': [
    scanMethod.response,
    {
      entries: [{ ...POSITION, slice: 2, clockDigest: utf8('12345678'), payloads: [utf8('p'), utf8('q')] }],
      done: false,
    },
  ],
}

function bytesOf({ tuple, body }: Message): Uint8Array {
  return encodeTuple(1, [[...tuple], body ?? null])
}

function messageIn<T>(bytes: Uint8Array, codec: MessageCodec<T>): T {
  return decodeWith(
    {
      name: 'a message',
      version: 1,
      encode: () => [],
      decode: (reader) => {
        const tuple = reader.tuple()
        const body = reader.optional((field) => field.bytes())
        const value = codec.decode(tuple, body ?? new Uint8Array(0))
        tuple.end()
        return value
      },
    },
    bytes,
  )
}

describe('messages', () => {
  it.each(Object.entries(MESSAGES))('go over the wire as ever: %s', (name, [codec, value]) => {
    const bytes = bytesOf(codec.encode(value))
    const path = new URL(`golden/${name}-v1.hex`, import.meta.url)
    if (process.env['ATOLL_GOLDEN'] === 'write') writeFileSync(path, `${toHex(bytes)}\n`)
    const golden = fromHex(readFileSync(path, 'utf8').trim())
    expect(toHex(bytes)).toBe(toHex(golden))
    expect(messageIn(golden, codec)).toEqual(value)
  })

  it.each(Object.entries(MESSAGES))('of another version are refused: %s', (_name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    const bytes = bytesOf({ tuple: [2, ...tuple.slice(1)], body })
    expect(() => messageIn(bytes, codec)).toThrow(expect.objectContaining({ code: 'ATOLL_PROTOCOL' }))
  })

  it.each(Object.entries(MESSAGES))('that are cut short are refused: %s', (_name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    for (let length = 0; length < tuple.length; length++) {
      const bytes = bytesOf({ tuple: tuple.slice(0, length), body })
      expect(() => messageIn(bytes, codec)).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
    }
  })

  it('with a key that cannot be are refused', () => {
    const bytes = bytesOf(getMethod.request.encode({ partition: 1, id: id('') }))
    expect(() => messageIn(bytes, getMethod.request)).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT' }),
    )
  })
})
