import { readFileSync } from 'node:fs'
import { AtollError, encodeTuple, fromHex, isAtollError, type TupleValue, toHex } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judgeHello, judgeWelcome } from '../src/handshake.ts'
import * as protocol from '../src/protocol.ts'

const error = new AtollError('ATOLL_LOCKED', 'busy', { details: { node: 'b', count: 2, held: true } })

/** One of each kind of head, with what it is read as. */
const heads: Record<string, [bytes: Uint8Array, read: object]> = {
  hello: [
    protocol.encodeHello({ minVersion: 1, maxVersion: 2, node: 'a', clusterName: 'c', capabilities: [] }),
    { kind: 0, minVersion: 1, maxVersion: 2, node: 'a', clusterName: 'c', capabilities: [] },
  ],
  welcome: [
    protocol.encodeWelcome({ version: 1, node: 'b', clusterName: 'c', windowBytes: 4096, capabilities: [] }),
    { kind: 1, version: 1, node: 'b', clusterName: 'c', windowBytes: 4096, capabilities: [] },
  ],
  'hello-capabilities': [
    protocol.encodeHello({
      minVersion: 1,
      maxVersion: 2,
      node: 'a',
      clusterName: 'c',
      capabilities: ['x', 'y-2'],
    }),
    { kind: 0, minVersion: 1, maxVersion: 2, node: 'a', clusterName: 'c', capabilities: ['x', 'y-2'] },
  ],
  'welcome-capabilities': [
    protocol.encodeWelcome({
      version: 1,
      node: 'b',
      clusterName: 'c',
      windowBytes: 4096,
      capabilities: ['z'],
    }),
    { kind: 1, version: 1, node: 'b', clusterName: 'c', windowBytes: 4096, capabilities: ['z'] },
  ],
  refuse: [protocol.encodeRefuse(error), { kind: 2, error: { code: 'ATOLL_LOCKED', message: 'busy' } }],
  request: [
    protocol.encodeRequest({ id: 1, method: 'm', remainingMs: 250 }, [7, 'x']),
    { kind: 3, id: 1, method: 'm', remainingMs: 250 },
  ],
  response: [protocol.encodeResponse(1, [8]), { kind: 4, id: 1 }],
  failure: [
    protocol.encodeFailure(protocol.FAILURE, 2, error),
    {
      kind: 5,
      id: 2,
      error: { definite: true, transient: true, details: { node: 'b', count: 2, held: true } },
    },
  ],
  cancel: [protocol.encodeCancel(3), { kind: 6, id: 3 }],
  progress: [protocol.encodeProgress(4, 1, [9]), { kind: 7, id: 4, sequence: 1 }],
  open: [
    protocol.encodeOpen({ id: 5, method: 's', windowBytes: 65_536, idleTimeoutMs: 30_000 }, ['p']),
    { kind: 8, id: 5, method: 's', windowBytes: 65_536, idleTimeoutMs: 30_000 },
  ],
  chunk: [protocol.encodeChunk(5, 1_000_000), { kind: 9, id: 5, offset: 1_000_000 }],
  state: [
    protocol.encodeState({ id: 5, limit: 8192, offset: 77, ended: true, deaf: false }),
    { kind: 10, id: 5, limit: 8192, offset: 77, ended: true, deaf: false },
  ],
  abort: [protocol.encodeFailure(protocol.ABORT, 5, error), { kind: 11, id: 5 }],
}

describe('message heads', () => {
  const golden = Object.fromEntries(
    readFileSync(new URL('golden/heads-1.txt', import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' ')),
  )

  test.each(Object.entries(heads))('%s is written and read as version 1 was', (name, [bytes, read]) => {
    expect(toHex(bytes)).toBe(golden[name])
    expect(protocol.decodeHead(fromHex(golden[name] ?? ''))).toMatchObject(read)
  })

  test('that are cut short, too long or of an unknown kind are refused, each with a code', () => {
    for (const [bytes] of Object.values(heads)) {
      for (let length = 0; length < bytes.length; length++) {
        expect(() => protocol.decodeHead(bytes.slice(0, length))).toThrow(
          expect.objectContaining({ code: 'ATOLL_CORRUPT' }),
        )
      }
    }
    expect(() => protocol.decodeHead(encodeTuple(1, [6, 3, 4]))).toThrow(/too many/)
    expect(() => protocol.decodeHead(encodeTuple(1, [0, 1, 1, 'a', 'c', ['x'], 7]))).toThrow(/too many/)
    expect(() => protocol.decodeHead(encodeTuple(1, [99, 3]))).toThrow(/kind 99 is unknown/)
    expect(() => protocol.decodeHead(encodeTuple(2, [6, 3]))).toThrow(
      expect.objectContaining({ code: 'ATOLL_FORMAT' }),
    )
  })

  test.each<[string, TupleValue, RegExp]>([
    ['more than 64', Array.from({ length: 65 }, (_, at) => `c${at}`), /65 capabilities/],
    ['of no name', [''], /called ""/],
    ['of a long name', ['x'.repeat(65)], /65|called "x/],
    ['that are numbers', [7], /should be a string/],
    ['that are no list', 'x', /expected a tuple/],
  ])('with capabilities %s are refused', (_what, capabilities, message) => {
    for (const head of [
      [0, 1, 1, 'a', 'c', capabilities],
      [1, 1, 'b', 'c', 1, capabilities],
    ]) {
      expect(() => protocol.decodeHead(encodeTuple(1, head))).toThrow(
        expect.objectContaining({ code: 'ATOLL_CORRUPT', message: expect.stringMatching(message) }),
      )
    }
  })

  test('of random bytes never throw anything but AtollError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          protocol.decodeHead(Uint8Array.of(1, ...bytes))
        } catch (error) {
          if (!isAtollError(error)) throw error
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('carry an error whose code this program does not know as an unknown failure', () => {
    const bytes = encodeTuple(1, [5, 2, 'ATOLL_FROM_THE_FUTURE', 'what?', false, true, []])
    expect(protocol.decodeHead(bytes)).toMatchObject({
      error: {
        code: 'ATOLL_STORAGE',
        definite: false,
        transient: true,
        message: 'ATOLL_FROM_THE_FUTURE: what?',
      },
    })
  })
})

describe('the handshake', () => {
  const own = { node: 'b', clusterName: 'c' }
  const hello = (changes: object) =>
    judgeHello(own, {
      kind: 0,
      minVersion: 1,
      maxVersion: 1,
      node: 'a',
      clusterName: 'c',
      capabilities: [],
      ...changes,
    })
  const welcome = (changes: object) =>
    judgeWelcome(own, {
      kind: 1,
      version: 1,
      node: 'b',
      clusterName: 'c',
      windowBytes: 1,
      capabilities: [],
      ...changes,
    })

  test('settles on the highest version that both sides know', () => {
    expect(hello({})).toBe(1)
    expect(hello({ maxVersion: 9 })).toBe(1)
    expect(hello({ minVersion: 0 })).toBe(1)
  })

  test.each([
    ['only newer versions', { minVersion: 2, maxVersion: 3 }, /speaks protocol versions 2-3, b speaks 1-1/],
    ['only older versions', { minVersion: 0, maxVersion: 0 }, /speaks protocol versions 0-0/],
    ['another cluster', { clusterName: 'd' }, /another cluster/],
    ['its own name', { node: 'b' }, /its own name/],
  ])('refuses %s', (_what, changes, message) => {
    expect(hello(changes)).toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
      message: expect.stringMatching(message),
    })
  })

  test.each([
    ['what is no name', { node: '../..' }, /which is no name/],
    ['another cluster', { clusterName: 'd' }, /another cluster/],
    ['another node', { node: 'z' }, /b was called, and z answered/],
    ['a version that was not offered', { version: 2 }, /not offered/],
  ])('does not accept %s as the answer', (_what, changes, message) => {
    expect(welcome({})).toBeUndefined()
    expect(welcome(changes)).toMatchObject({
      code: 'ATOLL_PROTOCOL',
      message: expect.stringMatching(message),
    })
  })
})
