import type { Gate, GatePhase } from '@atoll/vnode'
import { describe, expect, it } from 'vitest'
import { onAskedBack, onSealed, whyNotTaken } from '../src/incoming.ts'
import type { HandoffKind } from '../src/protocol.ts'

const PHASES: readonly GatePhase[] = ['copying', 'pausing', 'resealing', 'cut-off', 'sealed']
const KINDS: readonly HandoffKind[] = ['transfer', 'give-back', 'refill']
const gates: readonly (Gate | undefined)[] = [
  undefined,
  ...PHASES.flatMap((phase) =>
    ['n2', 'n3'].flatMap((to) => [true, false].map((isReturn) => ({ to, phase, isReturn }))),
  ),
]

/** All that n2 can say, wherever the partition stands here. */
describe('records that n2 sends', () => {
  const taken = KINDS.flatMap((kind) =>
    [true, false].flatMap((isGiving) =>
      gates.map((gate) => ({
        kind,
        isGiving,
        gate,
        why: whyNotTaken({ kind, from: 'n2' }, { gate, isGiving }),
      })),
    ),
  )

  it('are taken where nothing moves, but for what shall stay here of what this node gives away', () => {
    for (const { kind, isGiving, gate, why } of taken) {
      if (gate === undefined) expect(why === undefined).toBe(kind === 'give-back' || !isGiving)
    }
  })

  it('are never taken for a vnode that is past its copying, unless n2 brings it back', () => {
    for (const { kind, gate, why } of taken) {
      if (gate === undefined || gate.phase === 'copying') continue
      const comesBack = kind === 'transfer' && gate.to === 'n2'
      if (!comesBack) expect(why, `${kind} ${gate.phase} to ${gate.to}`).toBeDefined()
    }
  })

  it('are not given back to where they came from', () => {
    const circles = taken.filter(({ kind, gate }) => kind === 'give-back' && gate?.to === 'n2')
    expect(circles.length).toBeGreaterThan(0)
    for (const { why } of circles) expect(why).toBeDefined()
  })
})

describe('the word of n2 that it has sealed a vnode', () => {
  it('means that the vnode has come back if it was handed over to n2, and only then', () => {
    for (const gate of gates) {
      const isAway =
        gate?.to === 'n2' && !gate.isReturn && gate.phase !== 'copying' && gate.phase !== 'pausing'
      expect(onSealed({ gate }, 'n2') === 'come-back', JSON.stringify(gate)).toBe(isAway)
    }
  })

  it('has to be said again while the vnode is just being returned to n2: nobody would serve it', () => {
    const later = gates.filter((gate) => onSealed({ gate }, 'n2') === 'later')
    expect(later).toEqual([{ to: 'n2', phase: 'pausing', isReturn: true }])
  })
})

describe('the wish of n2 to have a vnode back', () => {
  it('is granted to whoever has handed it over, unless the document says that it is this node’s own', () => {
    for (const gate of gates) {
      for (const inboundFrom of [undefined, 'n2', 'n3']) {
        const verdict = onAskedBack({ gate, inboundFrom, isOwn: false }, 'n2')
        const isKnown = inboundFrom === 'n2' || (gate?.isReturn === true && gate.to === 'n2')
        expect(verdict).toBe(isKnown ? 'return' : 'unsealed')
        expect(onAskedBack({ gate, inboundFrom, isOwn: true }, 'n2')).toBe('mine')
      }
    }
  })
})
