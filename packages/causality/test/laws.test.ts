import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { covers, type MergePolicy, mergeRecords, recordsEqual, type StoredRecord } from '../src/index.ts'
import { type Event, type Known, nameOf, statesOf, steps } from './history.ts'

const POLICIES: readonly MergePolicy[] = [
  { kind: 'siblings' },
  { kind: 'last-write-wins' },
  { kind: 'merge', name: 'first', merge: ([first]) => first!.value },
  { kind: 'write-once' },
]
const RUNS = { numRuns: 400 }
const three = fc.tuple(fc.nat(), fc.nat(), fc.nat())

describe.each(POLICIES)('merging records that random histories leave ($kind)', (policy) => {
  const merge = (a: StoredRecord, b: StoredRecord) => mergeRecords(policy, a, b)
  const picked = (states: readonly Known[], at: number) => states[at % states.length]!.record!

  it('is commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(steps, three, (history, [x, y, z]) => {
        const states = statesOf(policy, history)
        if (states.length === 0) return
        const [a, b, c] = [picked(states, x), picked(states, y), picked(states, z)]
        expect(merge(a, a)).toBe(a)
        expect(merge(a, b)).toEqual(merge(b, a))
        expect(merge(merge(a, b), c)).toEqual(merge(a, merge(b, c)))
      }),
      RUNS,
    )
  })

  it('answers the same object if the other side adds nothing', () => {
    fc.assert(
      fc.property(steps, three, (history, [x, y]) => {
        const states = statesOf(policy, history)
        if (states.length === 0) return
        const [a, b] = [picked(states, x), picked(states, y)]
        const both = merge(a, b)
        expect(merge(both, structuredClone(a))).toBe(both)
        if (!recordsEqual(b, both)) expect(merge(structuredClone(b), both)).toBe(both)
        expect(both === a).toBe(recordsEqual(both, a))
      }),
      RUNS,
    )
  })
})

describe.each(POLICIES.slice(0, 3))('records beside a model with full histories ($kind)', (policy) => {
  it('hold what the model holds: nothing concurrent lost, nothing replaced come back', () => {
    fc.assert(
      fc.property(steps, (history) => {
        const states = statesOf(policy, history)
        const all = new Set(states.flatMap(({ events }) => [...events.keys()]))
        for (const { record, events } of states) {
          expect(record!.siblings.map(({ dot }) => nameOf(dot))).toEqual(visible(policy, events))
          for (const name of all) expect(covers(record!.clock, dotOf(name))).toBe(events.has(name))
        }
      }),
      RUNS,
    )
  })

  it('stamp every write later than all that it saw', () => {
    fc.assert(
      fc.property(steps, (history) => {
        for (const { events } of statesOf(policy, history)) {
          for (const event of events.values()) {
            for (const name of event.saw)
              expect(event.timestampMs).toBeGreaterThan(events.get(name)!.timestampMs)
          }
        }
      }),
      RUNS,
    )
  })
})

/** All events that no other one has seen; with last-write-wins, the last of all. In the order of dots. */
function visible(policy: MergePolicy, events: ReadonlyMap<string, Event>): string[] {
  const all = [...events.values()].sort((a, b) => compareText(a.name, b.name))
  if (policy.kind === 'last-write-wins') {
    const last = all.reduce((best, event) => (event.timestampMs >= best.timestampMs ? event : best))
    return [last.name]
  }
  const replaced = new Set(all.flatMap(({ saw }) => [...saw]))
  return all.map(({ name }) => name).filter((name) => !replaced.has(name))
}

function dotOf(name: string) {
  const [actor, counter] = name.split(':')
  return { actor: actor!, counter: Number(counter) }
}

function compareText(a: string, b: string): number {
  const [x, y] = [dotOf(a), dotOf(b)]
  if (x.actor !== y.actor) return x.actor < y.actor ? -1 : 1
  return x.counter - y.counter
}
