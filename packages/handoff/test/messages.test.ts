import { readFileSync, writeFileSync } from 'node:fs'
import { fromHex, toHex, utf8 } from '@atoll/core'
import type { MessageCodec } from '@atoll/transport'
import { describe, expect, it } from 'vitest'
import { bytesOf, messageIn, RECORD } from '../../replicas/test/message-bytes.ts'
import { id } from '../../vnode/test/world.ts'
import { endMethod, offerMethod, sealMethod, sendMethod } from '../src/methods.ts'

/** One of every message, as it goes over the wire: its codec, what it says. */
const MESSAGES: Record<string, [MessageCodec<unknown>, unknown]> = {
  'offer-request': [
    offerMethod.request,
    { partition: 3, kind: 'give-back', entries: [{ id: id('k'), digest: utf8('12345678') }] },
  ],
  'offer-reply': [offerMethod.response, { lacking: [0, 3] }],
  'send-request': [
    sendMethod.request,
    {
      partition: 3,
      kind: 'refill',
      records: [
        { id: id('k'), record: RECORD },
        { id: id('l'), record: RECORD },
      ],
    },
  ],
  'send-reply': [sendMethod.response, { refused: [{ at: 1, code: 'ATOLL_TOO_LARGE' }], pauseMs: 20 }],
  'seal-request': [sealMethod.request, { partition: 3 }],
  'seal-reply': [sealMethod.response, 'done'],
  'end-request': [endMethod.request, { partition: 3, kind: 'transfer' }],
}

/** The same of a ring with a number of partitions, which those above do not say. */
const OF_RING = ['offer-request', 'send-request', 'seal-request', 'end-request'].map(
  (name) => [name, 'of-ring', { partitions: 32 }] as const,
)

const WITH_WRITES = [
  'offer-request',
  'writes',
  { partitions: 32, entries: [{ id: id('k'), digest: utf8('12345678'), writes: utf8('87654321') }] },
] as const

describe('messages of handoffs', () => {
  it.each(Object.entries(MESSAGES))('go over the wire as ever: %s', (name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    const bytes = bytesOf({ tuple, body })
    const path = new URL(`golden/${name}-v${tuple[0]}.hex`, import.meta.url)
    if (process.env['ATOLL_GOLDEN'] === 'write') writeFileSync(path, `${toHex(bytes)}\n`)
    const golden = fromHex(readFileSync(path, 'utf8').trim())
    expect(toHex(bytes)).toBe(toHex(golden))
    expect(messageIn(golden, codec)).toEqual(value)
  })

  it.each(Object.entries(MESSAGES))('of a later version are refused: %s', (_name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    const bytes = bytesOf({ tuple: [3, ...tuple.slice(1)], body })
    expect(() => messageIn(bytes, codec)).toThrow(expect.objectContaining({ code: 'ATOLL_PROTOCOL' }))
  })

  it.each(Object.entries(MESSAGES))('that are cut short are refused: %s', (_name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    for (let length = 0; length < tuple.length; length++) {
      const bytes = bytesOf({ tuple: tuple.slice(0, length), body })
      expect(() => messageIn(bytes, codec)).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
    }
  })

  it.each([...OF_RING, WITH_WRITES])('say more if they have to: %s %s', (name, as, fields) => {
    const [codec, value] = MESSAGES[name]!
    const more = { ...(value as object), ...fields }
    const bytes = bytesOf(codec.encode(more))
    const path = new URL(`golden/${name}-${as}.hex`, import.meta.url)
    if (process.env['ATOLL_GOLDEN'] === 'write') writeFileSync(path, `${toHex(bytes)}\n`)
    const golden = fromHex(readFileSync(path, 'utf8').trim())
    expect(toHex(bytes)).toBe(toHex(golden))
    expect(messageIn(golden, codec)).toEqual(more)
  })

  it.each<[string, MessageCodec<unknown>, unknown, string]>([
    ['an offer of 20,000 records', offerMethod.request, offer(20_000), 'at most 4096 items'],
    [
      'an answer that lacks 20,000 records',
      offerMethod.response,
      { lacking: places(20_000) },
      'at most 4096',
    ],
    [
      'a pause of 35 years',
      sendMethod.response,
      { refused: [], pauseMs: 2 ** 40 },
      'a pause of 1099511627776 ms',
    ],
  ])('that would be work without a bound are refused: %s', (_what, codec, value, message) => {
    const bytes = bytesOf(codec.encode(value))
    expect(() => messageIn(bytes, codec)).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT', message: expect.stringContaining(message) }),
    )
  })
})

function places(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at)
}

function offer(records: number): unknown {
  const entries = places(records).map((at) => ({ id: id(`k${at}`), digest: new Uint8Array(1) }))
  return { partition: 1, kind: 'transfer', entries }
}
