import { readFileSync } from 'node:fs'
import { decodeWith, encodeTuple, fromHex, TupleReader, type TupleValue, toHex, utf8 } from '@atoll/core'
import type { MessageCodec } from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import * as codec from '../src/codec.ts'
import { type Digest, newcomer } from '../src/digest.ts'

const DIGESTS: readonly Digest[] = [
  { ...newcomer('n1'), incarnation: 77, generation: 70, counter: 3, documentVersion: 12 },
  { ...newcomer('n2'), incarnation: 2 ** 30, status: 'suspect', accusers: ['n1', 'n3'] },
  { ...newcomer('ñ4'), incarnation: 5, status: 'dead' },
]
const DELTAS = [
  {
    node: 'n1',
    generation: 70,
    after: 1,
    upTo: 3,
    facts: [
      { name: 'load', counter: 2, value: utf8('0.5') },
      { name: 'disk', counter: 3, value: new Uint8Array(0) },
    ],
  },
]

interface Case {
  readonly name: string
  readonly codec: MessageCodec<never>
  readonly value: unknown
}

function form<T>(name: string, of: MessageCodec<T>, value: T): Case {
  return { name, codec: of as MessageCodec<never>, value }
}

const CASES = [
  form('news', codec.newsCodec, { digests: DIGESTS }),
  form('pong', codec.pongCodec, { digests: DIGESTS, seesYou: true }),
  form('relay-request', codec.relayRequestCodec, { digests: DIGESTS, target: 'n9' }),
  form('relay-reply', codec.relayReplyCodec, { digests: DIGESTS, answered: false }),
  form('exchange-reply', codec.exchangeReplyCodec, { digests: DIGESTS, deltas: DELTAS }),
  form('document-request', codec.documentRequestCodec, null),
  form('document-reply', codec.documentReplyCodec, { version: 12, bytes: utf8('all of it') }),
]

/** The tuple behind version byte 1, as rpc heads have it, a line end, and the body. */
function packed({ codec: { encode }, value }: Case): string {
  const { tuple, body } = encode(value as never)
  return `${toHex(encodeTuple(1, tuple))}\n${toHex(body ?? new Uint8Array(0))}\n`
}

function unpacked({ codec: { decode } }: Case, text: string): unknown {
  const [head = '', body = ''] = text.split('\n')
  const read = (reader: TupleReader) => decode(reader, fromHex(body))
  return decodeWith({ name: 'a gossip message', version: 1, encode: () => [], decode: read }, fromHex(head))
}

describe('messages', () => {
  test.each(CASES)('$name is written and read as ever', (which) => {
    const url = new URL(`golden/${which.name}-v1.hex`, import.meta.url)
    const golden = readFileSync(url, 'utf8')
    expect(packed(which)).toBe(golden)
    expect(unpacked(which, golden)).toEqual(which.value)
  })

  const digest = (fields: Record<number, TupleValue>): TupleValue =>
    Object.assign(['n1', 1, 0, [], 1, 1, 1], fields) as TupleValue
  const many = (count: number, item: TupleValue): TupleValue => Array.from({ length: count }, () => item)

  test.each<[string, TupleValue]>([
    ['no list', 1],
    ['too many digests', many(1025, digest({}))],
    ['an empty name', [digest({ 0: '' })]],
    ['a long name', [digest({ 0: 'n'.repeat(256) })]],
    ['an unknown status', [digest({ 2: 3 })]],
    ['too many accusers', [digest({ 3: ['a', 'b', 'c', 'd', 'e'] })]],
    ['a number out of all bounds', [digest({ 1: 2 ** 50 })]],
    ['a negative number', [digest({ 5: -1 })]],
    ['a field too many', [digest({ 7: 1 })]],
    ['a field too few', [['n1', 1, 0, [], 1, 1]]],
  ])('with %s are refused', (_what, digests) => {
    const reader = new TupleReader('a gossip message', [digests])
    expect(() => codec.newsCodec.decode(reader, new Uint8Array(0))).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT' }),
    )
  })

  test('with too many facts are refused', () => {
    const facts = many(65, ['load', 1, new Uint8Array(1)])
    const reader = new TupleReader('a gossip message', [[], [['n1', 1, 0, 1, facts]]])
    expect(() => codec.exchangeReplyCodec.decode(reader, new Uint8Array(0))).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT' }),
    )
  })
})
