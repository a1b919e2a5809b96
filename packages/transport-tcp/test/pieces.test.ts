import { readFileSync } from 'node:fs'
import { concatBytes, EMPTY_BYTES, toHex } from '@atoll/core'
import { FrameDecoder } from '@atoll/transport'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Batch } from '../src/batch.ts'
import { Outbox } from '../src/outbox.ts'
import { type Piece, PieceDecoder } from '../src/piece-decoder.ts'
import * as protocol from '../src/protocol.ts'
import { because } from '../src/refusal.ts'

const MiB = 1024 * 1024
const bytes = (length: number, seed = 1) =>
  Uint8Array.from({ length }, (_, at) => at * 31 + seed * 7 + (at >> 8))

/** The parts of the next piece, which are copied; undefined if nothing waits. */
function next(outbox: Outbox, maxBytes: number): Uint8Array[] | undefined {
  const batch = new Batch()
  if (!outbox.take(batch, maxBytes)) return undefined
  const parts = batch.end().map((part) => Uint8Array.from(part))
  batch.release()
  return parts
}

/** Reads pieces as a connection does, and writes down which frames came in which order. */
class Reader {
  readonly arrived: { readonly head: number; readonly body: Uint8Array | undefined }[] = []
  readonly #pieces = new PieceDecoder()
  readonly #lanes = { [protocol.ORDINARY]: new FrameDecoder(), [protocol.URGENT]: new FrameDecoder() }

  push(chunk: Uint8Array): void {
    for (const { kind, bytes: part } of this.#pieces.push(chunk)) {
      if (kind !== protocol.ORDINARY && kind !== protocol.URGENT) continue
      for (const { head, body } of this.#lanes[kind].push(part))
        this.arrived.push({ head: head[0] ?? -1, body })
    }
  }
}

describe('the outbox', () => {
  test('lets a small urgent frame overtake 64 MiB that wait, in the middle of a large frame', () => {
    const outbox = new Outbox()
    const body = bytes(MiB)
    for (let number = 0; number < 64; number++) {
      outbox.pushFrame({ head: Uint8Array.of(number), body })
    }
    const reader = new Reader()
    let pieces = 0
    const move = () => {
      const piece = next(outbox, 256 * 1024)
      for (const part of piece ?? []) reader.push(part)
      pieces += 1
      return piece !== undefined
    }
    // Half of the first frame is on its way.
    for (let count = 0; count < 2; count++) move()
    outbox.pushFrame({ head: Uint8Array.of(100), urgent: true })
    outbox.pushFrame({ head: Uint8Array.of(101), urgent: true })
    outbox.pushControl(protocol.encodePiece(protocol.PING, EMPTY_BYTES))
    while (move()) {}
    expect(reader.arrived.map(({ head }) => head)).toEqual([
      100,
      101,
      ...Array.from({ length: 64 }, (_, at) => at),
    ])
    for (const one of reader.arrived.slice(2)) expect(Buffer.compare(one.body ?? EMPTY_BYTES, body)).toBe(0)
    // 64 MiB in pieces of 256 KiB, one of urgent frames, one sign of life, the remainder and the end.
    expect(pieces).toBe(64 * 4 + 4)
    expect(outbox.empty).toBe(true)
  })

  test('sends signs of life first', () => {
    const outbox = new Outbox()
    outbox.pushFrame({ head: bytes(1) })
    outbox.pushFrame({ head: bytes(1), urgent: true })
    outbox.pushControl(protocol.encodePiece(protocol.PONG, EMPTY_BYTES))
    const kinds = Array.from({ length: 4 }, () => next(outbox, 1000)?.[0]?.[0])
    expect(kinds).toEqual([protocol.PONG, protocol.URGENT, protocol.ORDINARY, undefined])
  })

  test('copies no large body, and small frames with their bodies into one part', () => {
    const outbox = new Outbox()
    const body = bytes(100_000)
    for (let count = 0; count < 500; count++) outbox.pushFrame({ head: bytes(20), body: bytes(50) })
    outbox.pushFrame({ head: bytes(20), body })
    const batch = new Batch()
    outbox.take(batch, MiB)
    const parts = batch.end()
    expect(parts.length).toBe(2)
    expect(parts[1]?.buffer).toBe(body.buffer)
    expect(parts.reduce((sum, { length }) => sum + length, 0)).toBe(batch.bytes)
  })

  test('keeps every byte of every lane in order, however it is taken', () => {
    const frame = fc.record({
      size: fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 90_000 })),
      urgent: fc.boolean(),
    })
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 30 }),
        fc.integer({ min: 1, max: 100_000 }),
        (frames, maxBytes) => {
          const outbox = new Outbox()
          const reader = new Reader()
          const sent = frames.map(({ size, urgent }, at) => ({ at, body: bytes(size, at), urgent }))
          for (const { at, body, urgent } of sent) {
            outbox.pushFrame({ head: Uint8Array.of(at), body, urgent })
            if (at % 3 === 0) for (const part of next(outbox, maxBytes) ?? []) reader.push(part)
          }
          for (let piece = next(outbox, maxBytes); piece !== undefined; piece = next(outbox, maxBytes)) {
            for (const part of piece) reader.push(part)
          }
          for (const lane of [true, false]) {
            const expected = sent
              .filter(({ urgent }) => urgent === lane)
              .map(({ at, body }) => [at, toHex(body)])
            const isOfLane = (head: number) => sent[head]?.urgent === lane
            const arrived = reader.arrived.filter(({ head }) => isOfLane(head))
            expect(arrived.map(({ head, body }) => [head, toHex(body ?? EMPTY_BYTES)])).toEqual(expected)
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('pieces', () => {
  const pieces = [
    { kind: protocol.GREETING, bytes: bytes(100) },
    { kind: protocol.PING, bytes: EMPTY_BYTES },
    { kind: protocol.ORDINARY, bytes: bytes(3000) },
    { kind: protocol.URGENT, bytes: bytes(10) },
    { kind: protocol.ORDINARY, bytes: EMPTY_BYTES },
    { kind: protocol.GOODBYE, bytes: bytes(protocol.MAX_CONTROL_BYTES) },
  ]
  const stream = concatBytes(pieces.map(({ kind, bytes: payload }) => protocol.encodePiece(kind, payload)))

  test.each([1, 2, 3, 5, 104, 105, 1000, 100_000])('are found in chunks of %i bytes', (size) => {
    const decoder = new PieceDecoder()
    const found: Piece[] = []
    for (let at = 0; at < stream.length; at += size)
      found.push(...decoder.push(stream.subarray(at, at + size)))
    const whole = (kind: number) =>
      concatBytes(found.filter((one) => one.kind === kind).map((one) => one.bytes))
    for (const kind of [protocol.GREETING, protocol.ORDINARY, protocol.URGENT, protocol.GOODBYE]) {
      const expected = concatBytes(pieces.filter((one) => one.kind === kind).map((one) => one.bytes))
      expect(Buffer.compare(whole(kind), expected)).toBe(0)
    }
    expect(found.filter(({ kind }) => kind === protocol.PING)).toHaveLength(1)
    expect(found.filter(({ kind }) => kind === protocol.GREETING)).toHaveLength(1)
  })

  test('over a limit or of an unknown kind are refused before they are read', () => {
    const refuse = (kind: number, length: number) => () =>
      new PieceDecoder().push(protocol.encodeHeader(kind, length))
    expect(refuse(protocol.ORDINARY, protocol.MAX_LANE_BYTES)).not.toThrow()
    expect(refuse(protocol.ORDINARY, protocol.MAX_LANE_BYTES + 1)).toThrow(
      expect.objectContaining({ code: 'ATOLL_TOO_LARGE' }),
    )
    for (const kind of [protocol.GREETING, protocol.PING, protocol.PONG, protocol.GOODBYE]) {
      expect(refuse(kind, protocol.MAX_CONTROL_BYTES + 1)).toThrow(
        expect.objectContaining({ code: 'ATOLL_TOO_LARGE' }),
      )
    }
    for (const kind of [6, 22, 71, 255]) {
      expect(refuse(kind, 1)).toThrow(expect.objectContaining({ code: 'ATOLL_PROTOCOL' }))
    }
  })
})

describe('the bytes of version 1', () => {
  const party = { cluster: 'reef', node: 'n1', instance: bytes(16) }
  const greetings: Record<string, protocol.Greeting> = {
    hello: { kind: protocol.HELLO, minVersion: 1, maxVersion: 2, nonce: bytes(32) },
    challenge: { kind: protocol.CHALLENGE, version: 1, nonce: bytes(32, 2) },
    proof: { kind: protocol.PROOF, ...party, mac: bytes(32, 3) },
    welcome: { kind: protocol.WELCOME, ...party, mac: EMPTY_BYTES },
  }
  const golden = new Map(
    readFileSync(new URL('golden/pieces-1.txt', import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map((line): [string, string] => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  )

  test.each(Object.entries(greetings))('of %s are read and written', (name, greeting) => {
    const piece = protocol.encodePiece(protocol.GREETING, protocol.encodeGreeting(greeting))
    expect(toHex(piece)).toBe(golden.get(name))
    const [read] = new PieceDecoder().push(Buffer.from(golden.get(name) ?? '', 'hex'))
    const again = protocol.decodeGreeting(read?.bytes ?? EMPTY_BYTES)
    expect(again.kind).toBe(greeting.kind)
    expect(toHex(protocol.encodeGreeting(again))).toBe(toHex(protocol.encodeGreeting(greeting)))
  })

  test('of a goodbye and its reason are read and written', () => {
    const reason = because('secret', 'who are you?')
    const piece = protocol.encodePiece(protocol.GOODBYE, protocol.encodeGoodbye(reason))
    expect(toHex(piece)).toBe(golden.get('goodbye'))
    const [read] = new PieceDecoder().push(Buffer.from(golden.get('goodbye') ?? '', 'hex'))
    expect(protocol.decodeGoodbye(read?.bytes ?? EMPTY_BYTES)).toMatchObject({
      code: 'ATOLL_UNAUTHORIZED',
      message: 'who are you?',
    })
    expect(protocol.decodeGoodbye(EMPTY_BYTES)).toBeUndefined()
  })
})
