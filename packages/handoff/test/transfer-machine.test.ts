import { describe, expect, it } from 'vitest'
import { nextTransfer } from '../src/transfer-machine.ts'
import { type Bounds, type Next, type TransferWorld, TransferWorlds } from './transfer-worlds.ts'

const BOUNDS: Bounds = { writes: 2, crashes: 2, failures: 2 }
/** From anywhere, an attempt in which nothing fails has so many steps at most: a page and a round for each record. */
const MAX_STEPS = 40

const nameOf = (world: TransferWorld) => JSON.stringify(world)

interface Explored {
  readonly worlds: number
  readonly fault: string | undefined
}

/** Goes through every world that can be, breadth first, and stops at the first fault. */
function explore(worlds: TransferWorlds, bounds: Bounds = BOUNDS): Explored {
  const first = worlds.first(bounds)
  const seen = new Set([nameOf(first)])
  const ends = new Set<string>()
  let queue = [first]
  while (queue.length > 0) {
    const following: TransferWorld[] = []
    for (const world of queue) {
      const fault = worlds.faultOf(world) ?? stuck(worlds, world, ends)
      if (fault !== undefined) return { worlds: seen.size, fault: `${fault}: ${nameOf(world)}` }
      for (const next of worlds.after(world)) {
        const name = nameOf(next)
        if (seen.has(name)) continue
        seen.add(name)
        following.push(next)
      }
    }
    queue = following
  }
  return { worlds: seen.size, fault: undefined }
}

/** Whether attempts come to an end when nothing goes wrong any more. */
function stuck(worlds: TransferWorlds, from: TransferWorld, ends: Set<string>): string | undefined {
  const passed: string[] = []
  for (let world = from; !world.isDone; ) {
    const name = nameOf(world)
    if (ends.has(name)) break
    passed.push(name)
    if (passed.length > MAX_STEPS) return 'it does not come to an end'
    const next = worlds.goesOn(world)
    if (next === undefined) break
    world = next
  }
  for (const name of passed) ends.add(name)
  return undefined
}

describe.each([
  ['a vnode that goes to another node', false],
  ['a vnode that goes back', true],
])('%s', (_what, isReturn) => {
  it('is complete there before it is served there, whatever fails and whoever crashes', () => {
    const { worlds, fault } = explore(new TransferWorlds(isReturn))
    expect(fault).toBeUndefined()
    expect(worlds).toBeGreaterThan(5000)
  })
})

/** Steps as a faulty machine would say them. */
const FAULTY: readonly (readonly [string, Next])[] = [
  [
    'does not make writes wait while it hands over',
    (...args) => {
      const step = nextTransfer(...args)
      return { ...step, effects: step.effects.filter((one) => one.do !== 'gate' || one.phase !== 'pausing') }
    },
  ],
  [
    'hands over without the last notes',
    (...args) => {
      const step = nextTransfer(...args)
      if (step.task?.do !== 'send-last-notes') return step
      return { ...step, task: { do: 'send-notes', maxPages: 0 } }
    },
  ],
  [
    'takes a seal whose save has failed for one that was put',
    (rules, state, event) =>
      nextTransfer(rules, state, event.kind === 'read' ? { ...event, isServing: false } : event),
  ],
  [
    'tells the other node again before it has sent what was noted',
    (rules, state, event) => {
      const step = nextTransfer(rules, state, event)
      return step.state.at === 'sending-again' ? nextTransfer(rules, step.state, { kind: 'done' }) : step
    },
  ],
  [
    'writes its cursor down one page too far',
    (...args) => {
      const step = nextTransfer(...args)
      const effects = step.effects.map((one) =>
        one.do === 'save-cursor' ? { ...one, note: { ...one.note, cursor: Uint8Array.of(2) } } : one,
      )
      return { ...step, effects }
    },
  ],
]

describe('a machine is found out that', () => {
  it.each(FAULTY)('%s', (_what, next) => {
    expect(explore(new TransferWorlds(false, next)).fault).toBeDefined()
  })
})
