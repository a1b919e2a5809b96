import { readFileSync, writeFileSync } from 'node:fs'
import { encodeHead } from '@atoll/causality'
import { fromHex, toHex, utf8 } from '@atoll/core'
import type { MessageCodec } from '@atoll/transport'
import { describe, expect, it } from 'vitest'
import { content, id } from '../../vnode/test/world.ts'
import { coordinateMethod, getMethod, hintMethod, putMethod, scanMethod } from '../src/methods.ts'
import type { Routing } from '../src/protocol.ts'
import { bytesOf, messageIn, RECORD } from './message-bytes.ts'

const POSITION = { term: utf8('term'), bucket: utf8('b'), key: utf8('k') }

const GROUPS = { prefix: utf8('p'), delimiter: utf8('/') }

const ROUTING: Routing = { role: 'fallback', epoch: 7, forwards: 1, bySeal: true }
const UNROUTED: Routing = { role: 'primary', epoch: 0, forwards: 0, bySeal: false }

/** One of every message, as it goes over the wire: its version, its codec, what it says. */
const MESSAGES: Record<string, [MessageCodec<unknown>, unknown]> = {
  'get-request': [getMethod.request, { partition: 3, id: id('k'), routing: ROUTING }],
  'get-reply': [getMethod.response, { record: RECORD, corrupt: false }],
  'get-reply-none': [getMethod.response, { record: undefined, corrupt: true }],
  'put-request': [putMethod.request, { partition: 3, id: id('k'), record: RECORD, routing: ROUTING }],
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
      routing: ROUTING,
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
      routing: ROUTING,
    },
  ],
  'coordinate-decided': [coordinateMethod.progress!, encodeHead(RECORD)],
  'coordinate-reply': [coordinateMethod.response, { record: RECORD }],
  'hint-request': [
    hintMethod.request,
    { partition: 3, id: id('k'), hintFor: ['n2', 'n3'], routing: ROUTING },
  ],
  'hint-reply': [hintMethod.response, 'done'],
  'scan-request': [
    scanMethod.request,
    {
      vnodes: [
        { partition: 1, slices: [1, 2], role: 'primary' },
        { partition: 4, slices: [], role: 'fallback' },
      ],
      type: 'default',
      index: 'list',
      scope: utf8('s'),
      from: utf8('a'),
      to: utf8('b'),
      after: POSITION,
      limit: 100,
      routing: ROUTING,
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

/** The same of a ring with a number of partitions, which those above do not say. */
const OF_RING = [['scan-request', 'of-ring', { partitions: 32 }]] as const

/** Those of which somebody wants to know whether a write is alone. */
const OF_COMPANY = [
  ['get-request', 'digest-only', { digestOnly: true }],
  ['get-reply', 'digest', { record: undefined, corrupt: false, digest: utf8('0123456789abcdef') }],
  ['put-request', 'tell-alone', { tellAlone: true }],
  ['put-request', 'fresh', { isFresh: true }],
  ['put-reply', 'alone', { alone: true }],
  ['put-reply', 'not-alone', { alone: false }],
  ['put-request', 'tell-twice', { tellTwice: true }],
  ['put-request', 'tell-alone-and-twice', { tellAlone: true, tellTwice: true }],
  ['put-reply', 'twice', { alone: false, twice: ['00000000000000aa'] }],
  ['scan-request', 'groups', { groups: GROUPS }],
  ['scan-request', 'groups-of-ring', { partitions: 32, groups: GROUPS }],
  ['coordinate-request', 'if-alone', { ifAlone: true }],
  ['put-request', 'hint-for', { hintFor: ['n2', 'n3'] }],
  ['put-request', 'fresh-and-hint-for', { isFresh: true, hintFor: ['n3'] }],
  ['put-request', 'tell-twice-and-hint-for', { tellTwice: true, hintFor: ['n3'] }],
  ['put-request', 'tell-alone-and-hint-for', { tellAlone: true, hintFor: ['n3'] }],
  ['put-request', 'quiet', { quiet: true }],
  ['put-request', 'fresh-and-quiet', { isFresh: true, quiet: true }],
  ['put-request', 'tell-alone-and-twice-and-quiet', { tellAlone: true, tellTwice: true, quiet: true }],
  ['put-request', 'hint-for-and-quiet', { hintFor: ['n3'], quiet: true }],
  ['coordinate-request', 'hint-for', { hintFor: ['n3'] }],
  ['coordinate-request', 'if-alone-and-hint-for', { ifAlone: true, hintFor: ['n3'] }],
  ['coordinate-request', 'tell-decided', { tellDecided: true }],
  ['coordinate-request', 'if-alone-and-tell-decided', { ifAlone: true, tellDecided: true }],
  ['coordinate-request', 'hint-for-and-tell-decided', { hintFor: ['n3'], tellDecided: true }],
  ['coordinate-reply', 'declined', { declined: true }],
] as const

/** What version 1 of a request could say. */
function asOfOld(value: unknown): unknown {
  const { routing: _, ...request } = value as Record<string, unknown>
  if (!Array.isArray(request['vnodes'])) return { ...request, routing: UNROUTED }
  const vnodes = request['vnodes'].map((vnode) => ({ ...vnode, role: 'primary' }))
  return { ...request, vnodes, routing: UNROUTED }
}

/** Of hints version 1 knew nothing. */
const REQUESTS = Object.entries(MESSAGES).filter(
  ([name, [, value]]) => name !== 'hint-request' && Object.hasOwn(value as object, 'routing'),
)

describe('messages', () => {
  it.each(Object.entries(MESSAGES))('go over the wire as ever: %s', (name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    const bytes = bytesOf({ tuple, body })
    const path = new URL(`golden/${name}-v${tuple[0]}.hex`, import.meta.url)
    if (process.env['ATOLL_GOLDEN'] === 'write') writeFileSync(path, `${toHex(bytes)}\n`)
    const golden = fromHex(readFileSync(path, 'utf8').trim())
    expect(toHex(bytes)).toBe(toHex(golden))
    expect(messageIn(golden, codec)).toEqual(value)
  })

  it.each(REQUESTS)('of version 1 say nothing of their way: %s', (name, [codec, value]) => {
    const golden = readFileSync(new URL(`golden/${name}-v1.hex`, import.meta.url), 'utf8').trim()
    expect(messageIn(fromHex(golden), codec)).toEqual(asOfOld(value))
  })

  it.each(Object.entries(MESSAGES))('of a later version are refused: %s', (_name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    const bytes = bytesOf({ tuple: [3, ...tuple.slice(1)], body })
    expect(() => messageIn(bytes, codec)).toThrow(expect.objectContaining({ code: 'ATOLL_PROTOCOL' }))
  })

  it.each(Object.entries(MESSAGES))('that are cut short are refused: %s', (name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    // What stands last in a scan may be lacking: version 1 has no fallbacks.
    const least = name === 'scan-request' ? tuple.length - 1 : tuple.length
    for (let length = 0; length < least; length++) {
      const bytes = bytesOf({ tuple: tuple.slice(0, length), body })
      expect(() => messageIn(bytes, codec)).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
    }
  })

  it.each([...OF_RING, ...OF_COMPANY])('say more if they have to: %s %s', (name, as, fields) => {
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
    [
      'an answer that names 100 actors',
      putMethod.response,
      { changed: true, twice: places(100).map(String) },
      'at most 16',
    ],
    [
      'a hint for 100 nodes',
      hintMethod.request,
      { partition: 1, id: id('k'), hintFor: places(100).map((at) => `n${at}`), routing: ROUTING },
      'at most 16',
    ],
    [
      'a hint for what is no node',
      hintMethod.request,
      { partition: 1, id: id('k'), hintFor: ['n 3'], routing: ROUTING },
      'no proper node',
    ],
    ['a scan of 300,000 vnodes', scanMethod.request, scan(300_000, 1), 'at most 1024 items'],
    ['a scan of 2000 slices of a vnode', scanMethod.request, scan(1, 2000), 'at most 1024'],
  ])('that would be work without a bound are refused: %s', (_what, codec, value, message) => {
    const bytes = bytesOf(codec.encode(value))
    expect(() => messageIn(bytes, codec)).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT', message: expect.stringContaining(message) }),
    )
  })

  it('with a key that cannot be are refused', () => {
    const bytes = bytesOf(getMethod.request.encode({ partition: 1, id: id(''), routing: ROUTING }))
    expect(() => messageIn(bytes, getMethod.request)).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT' }),
    )
  })
})

function places(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at)
}

function scan(vnodes: number, slices: number): unknown {
  const asked = places(vnodes).map((partition) => ({ partition, slices: places(slices), role: 'primary' }))
  return { vnodes: asked, type: 't', index: 'i', scope: utf8('s'), limit: 1, routing: ROUTING }
}
