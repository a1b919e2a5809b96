import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fromHex, isAtollError, toHex, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  clockDigest,
  decodeContext,
  decodeRecord,
  encodeContext,
  encodeRecord,
  recordsEqual,
  type StoredRecord,
  writeOnceRecord,
} from '../src/index.ts'
import { statesOf, steps } from './history.ts'
import { ACTOR_A, ACTOR_B, contentOf, siblingOf, sumOf, writeIdOf } from './sample.ts'

const sha1 = (data: Uint8Array) => new Uint8Array(createHash('sha1').update(data).digest())
const golden = (name: string) =>
  fromHex(readFileSync(new URL(`golden/${name}.hex`, import.meta.url), 'utf8').replace(/\s/g, ''))

/** Everything that a record can hold. */
const FULL: StoredRecord = {
  clock: new Map([
    [ACTOR_B, 2 ** 40],
    [ACTOR_A, 3],
  ]),
  siblings: [
    siblingOf('first', {
      dot: { actor: ACTOR_A, counter: 3 },
      metadata: new Map([
        ['type', 'text/plain'],
        ['größe', '5'],
      ]),
      expiresAtMs: 1_900_000_000_000,
      indexes: [{ index: 'list', scope: utf8('bucket'), term: fromHex('00ff'), payload: fromHex('') }],
    }),
    siblingOf('', { dot: { actor: ACTOR_B, counter: 7 }, tombstone: true, timestampMs: 1_800_000_000_000 }),
  ],
}
const BLOCK = writeOnceRecord(contentOf('block'), 0xfedcba98, writeIdOf(2 ** 47))
const CONTEXT = { vector: FULL.clock, timestampMs: 1_800_000_000_000 }

describe('the record codec', () => {
  it('gives back what it got', () => {
    fc.assert(
      fc.property(steps, (history) => {
        for (const { record } of statesOf({ kind: 'siblings' }, history)) {
          const { head, body } = encodeRecord(record!)
          expect(decodeRecord(head, body)).toEqual(record)
        }
      }),
      { numRuns: 50 },
    )
    for (const record of [FULL, BLOCK, { clock: new Map(), siblings: [] }]) {
      const { head, body } = encodeRecord(record)
      expect(decodeRecord(head, body)).toEqual(record)
    }
  })

  it('copies a single value neither out nor in', () => {
    const { head, body } = encodeRecord(BLOCK)
    expect(body).toBe(BLOCK.siblings[0]!.value)
    expect(decodeRecord(head, body).siblings[0]!.value.buffer).toBe(body.buffer)
  })

  it('spends less than 64 bytes on the head of a block', () => {
    expect(encodeRecord(BLOCK).head.length).toBeLessThan(64)
  })

  it.each(['record-v1', 'block-v1'])('still opens, and writes, %s', (name) => {
    const record = name === 'block-v1' ? BLOCK : FULL
    const { head, body } = encodeRecord(record)
    expect([head, body].map(toHex)).toEqual([golden(`${name}.head`), golden(`${name}.body`)].map(toHex))
    expect(decodeRecord(golden(`${name}.head`), golden(`${name}.body`))).toEqual(record)
  })

  it('refuses a body of another length', () => {
    const { head, body } = encodeRecord(FULL)
    for (const other of [body.subarray(1), new Uint8Array(body.length + 1)]) {
      expect(() => decodeRecord(head, other)).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
    }
  })

  it('refuses or reads damaged heads, and never fails otherwise', () => {
    const { head, body } = encodeRecord(FULL)
    const damage = fc.record({
      at: fc.nat(head.length - 1),
      byte: fc.nat(255),
      cut: fc.option(fc.nat(head.length)),
    })
    fc.assert(
      fc.property(damage, ({ at, byte, cut }) => {
        const damaged = head.slice(0, cut ?? head.length)
        if (at < damaged.length) damaged[at] = byte
        expectRecordOrRefusal(() => decodeRecord(damaged, body))
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses siblings that the clock does not cover, twice the same dot, and actors out of order', () => {
    const [first, second] = FULL.siblings
    const sameActor = siblingOf('x', { dot: { actor: ACTOR_A, counter: 3 } })
    for (const record of [
      { clock: new Map([[ACTOR_A, 2]]), siblings: [first!] },
      { clock: FULL.clock, siblings: [second!, first!] },
      { clock: FULL.clock, siblings: [first!, sameActor] },
    ]) {
      const { head, body } = encodeRecord(record)
      expect(() => decodeRecord(head, body)).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
    }
  })

  it('does not write a sibling of an actor that the clock lacks', () => {
    expect(() => encodeRecord({ clock: new Map(), siblings: [...FULL.siblings] })).toThrow('assertion failed')
  })
})

describe('the context codec', () => {
  it('gives back what it got, and still opens and writes version 1', () => {
    expect(decodeContext(encodeContext(CONTEXT))).toEqual(CONTEXT)
    expect(toHex(encodeContext(CONTEXT))).toBe(toHex(golden('context-v1')))
    expect(decodeContext(golden('context-v1'))).toEqual(CONTEXT)
  })

  it('refuses or reads any bytes that a client may send', () => {
    const known = encodeContext(CONTEXT)
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.record({ at: fc.nat(known.length - 1), byte: fc.nat(255) }).map(({ at, byte }) => {
        const changed = known.slice()
        changed[at] = byte
        return changed
      }),
    )
    fc.assert(
      fc.property(bytes, (context) => {
        expectRecordOrRefusal(() => decodeContext(context))
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses a time that leaves no room for later ones', () => {
    const bytes = encodeContext({ ...CONTEXT, timestampMs: 2 ** 53 - 2 })
    expect(() => decodeContext(bytes)).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
  })

  it('says of a newer version that it is newer', () => {
    const newer = encodeContext(CONTEXT)
    newer[0] = 2
    expect(() => decodeContext(newer)).toThrow(expect.objectContaining({ code: 'ATOLL_FORMAT' }))
  })
})

describe('the clock digest', () => {
  it('is equal for the same record, and only for the same', () => {
    fc.assert(
      fc.property(steps, (history) => {
        const records = statesOf({ kind: 'siblings' }, history).map(({ record }) => record!)
        for (const a of records) {
          for (const b of records) {
            const same = toHex(clockDigest(a, sha1)) === toHex(clockDigest(b, sha1))
            expect(same).toBe(recordsEqual(a, b))
          }
        }
      }),
      { numRuns: 50 },
    )
  })

  it('has 8 bytes, and does not depend on the order in which a clock was built', () => {
    const turned = { ...FULL, clock: new Map([...FULL.clock].reverse()) }
    expect(clockDigest(FULL, sha1)).toHaveLength(8)
    expect(clockDigest(turned, sha1)).toEqual(clockDigest(FULL, sha1))
  })

  it('tells write-once records with different values apart', () => {
    const of = (text: string) => writeOnceRecord(contentOf(text), sumOf(utf8(text)), writeIdOf(1))
    expect(clockDigest(of('one'), sha1)).toEqual(clockDigest(of('one'), sha1))
    expect(clockDigest(of('one'), sha1)).not.toEqual(clockDigest(of('two'), sha1))
  })
})

function expectRecordOrRefusal(decode: () => unknown): void {
  try {
    decode()
  } catch (error) {
    if (!isAtollError(error, 'ATOLL_CORRUPT') && !isAtollError(error, 'ATOLL_FORMAT')) throw error
  }
}
