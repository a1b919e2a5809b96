import { utf8 } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Digest, hasNewerFacts, newcomer } from '../src/digest.ts'
import { Facts } from '../src/facts.ts'
import { validateGossipOptions } from '../src/options.ts'

const LIMITS = { maxFacts: 3, maxFactBytes: 10 }

/** A writer, and readers that take deltas from each other. */
class Holder {
  readonly facts = new Facts()
  digest: Digest = newcomer('w')

  publish(name: string, text: string): void {
    const counter = this.digest.counter + 1
    this.facts.publish('w', { name, counter, value: utf8(text) }, LIMITS)
    this.digest = { ...this.digest, counter }
  }

  begin(generation: number): void {
    this.facts.forget('w')
    this.digest = { ...newcomer('w'), generation }
  }

  takeFrom(other: Holder, maxBytes: number): readonly string[] | undefined {
    if (!hasNewerFacts(other.digest, this.digest)) return undefined
    const delta = other.facts.delta(other.digest, this.digest, maxBytes)
    if (delta === undefined) return undefined
    const names = this.facts.apply(this.digest, delta, LIMITS)
    if (names === undefined) return undefined
    this.digest = { ...this.digest, generation: delta.generation, counter: delta.upTo }
    return names
  }

  get texts(): string {
    return [...this.facts.of('w').values()]
      .map(({ name, value }) => `${name}=${value}`)
      .sort()
      .join()
  }
}

const step = fc.oneof(
  fc.record({ do: fc.constant('publish' as const), name: fc.constantFrom('a', 'b', 'c'), text: fc.nat(9) }),
  fc.record({ do: fc.constant('begin' as const) }),
  fc.record({
    do: fc.constant('take' as const),
    by: fc.nat(2),
    from: fc.nat(3),
    maxBytes: fc.constantFrom(310, 620, 10_000),
  }),
)

describe('facts', () => {
  test('travel in any pieces and ways, and end as the writer has them', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const readers = [new Holder(), new Holder(), new Holder()]
        const writer = new Holder()
        let generation = 0
        writer.begin(++generation)
        for (const next of steps) {
          if (next.do === 'publish') writer.publish(next.name, `${next.text}`)
          else if (next.do === 'begin') writer.begin(++generation)
          else readers[next.by]!.takeFrom([...readers, writer][next.from]!, next.maxBytes)
        }
        writer.publish('a', 'end')
        for (let rounds = 0; rounds < 3; rounds++) readers[0]!.takeFrom(writer, 310)
        readers[1]!.takeFrom(readers[0]!, 10_000)
        expect([readers[0]!.texts, readers[1]!.texts]).toEqual([writer.texts, writer.texts])
        expect(readers[1]!.digest).toEqual(writer.digest)
      }),
    )
  })

  test('of a former life are gone with the first of the next one', () => {
    const [writer, reader] = [new Holder(), new Holder()]
    writer.begin(1)
    writer.publish('a', '1')
    writer.publish('b', '1')
    expect(reader.takeFrom(writer, 10_000)).toEqual(['a', 'b'])
    writer.begin(2)
    writer.publish('a', '2')
    expect(reader.takeFrom(writer, 10_000)).toEqual(['a', 'b'])
    expect([...reader.facts.of('w').keys()]).toEqual(['a'])
  })

  test('are bounded in number, size and name', () => {
    const writer = new Holder()
    for (const name of ['a', 'b', 'c', 'a']) writer.publish(name, '1')
    expect(() => writer.publish('d', '1')).toThrow(expect.objectContaining({ code: 'ATOLL_OVERLOADED' }))
    expect(() => writer.publish('a', '12345678901')).toThrow(RangeError)
    expect(() => writer.publish('', '1')).toThrow(RangeError)
    expect(() => writer.publish('x'.repeat(65), '1')).toThrow(RangeError)
  })

  test('that go over the limits, or leave a gap, are not taken', () => {
    const mine = { ...newcomer('w'), generation: 1, counter: 2 }
    const fact = (name: string, counter: number, bytes = 1) => ({
      name,
      counter,
      value: new Uint8Array(bytes),
    })
    const delta = { node: 'w', generation: 1, after: 2, upTo: 3, facts: [fact('a', 3)] }
    const apply = (change: object) => new Facts().apply(mine, { ...delta, ...change }, LIMITS)
    expect(apply({})).toEqual(['a'])
    expect(apply({ after: 3, upTo: 4 })).toBeUndefined()
    expect(apply({ generation: 2, after: 1 })).toBeUndefined()
    expect(apply({ generation: 0 })).toBeUndefined()
    expect(apply({ facts: [fact('a', 3, 11)] })).toBeUndefined()
    expect(apply({ facts: ['a', 'b', 'c', 'd'].map((name) => fact(name, 3)) })).toBeUndefined()
  })
})

describe('options', () => {
  test('have defaults, and are checked', () => {
    expect(validateGossipOptions({ node: 'n1' })).toMatchObject({
      periodMs: 500,
      probeTimeoutMs: 300,
      fanout: 3,
    })
    expect(() => validateGossipOptions({ node: '' })).toThrow('node must be a name of 1 to 255 characters')
    expect(() => validateGossipOptions({ node: 'n1', periodMs: 0 })).toThrow(RangeError)
    expect(() => validateGossipOptions({ node: 'n1', fanout: 1.5 })).toThrow('fanout must be an integer')
    const misspelt: object = { node: 'n1', periodMS: 1 }
    expect(() => validateGossipOptions(misspelt as never)).toThrow('no option "periodMS"')
  })
})
