import { describe, expect, it } from 'vitest'
import { nextTransfer } from '../src/transfer-machine.ts'
import { explore } from './explore.ts'
import { type Bounds, type Next, TransferWorlds } from './transfer-worlds.ts'

const BOUNDS: Bounds = { writes: 2, crashes: 2, failures: 2 }
const exploreAll = (worlds: TransferWorlds) => explore(worlds, worlds.first(BOUNDS))

describe.each([
  ['a vnode that goes to another node', false],
  ['a vnode that goes back', true],
])('%s', (_what, isReturn) => {
  it('is complete there before it is served there, whatever fails and whoever crashes', () => {
    const { worlds, fault } = exploreAll(new TransferWorlds(isReturn))
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
    expect(exploreAll(new TransferWorlds(false, next)).fault).toBeDefined()
  })
})
