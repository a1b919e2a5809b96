import type { GatePhase } from '@atoll/vnode'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Routing } from '../src/protocol.ts'
import { isPlainlyHere, type Ownership, type PartitionStanding, type Route, route } from '../src/route.ts'

const PRIMARY: Routing = { role: 'primary', epoch: 1, forwards: 0, bySeal: false }

const owned = (owner: string | undefined, epoch: number): Ownership => ({ epoch, ownerOf: () => owner })

const standing = (more: Partial<PartitionStanding> = {}): PartitionStanding => ({
  node: 'a',
  gate: undefined,
  inboundFrom: undefined,
  ownership: owned('a', 1),
  ...more,
})

const ask = (routing: Partial<Routing>, at: Partial<PartitionStanding>, kind: 'read' | 'write' = 'write') =>
  route({ partition: 1, kind, routing: { ...PRIMARY, ...routing } }, standing(at))

const HERE = { kind: 'here' }
const gate = (phase: GatePhase) => ({ to: 'b', phase })

describe('a request is served', () => {
  it.each<[string, Partial<Routing>, Partial<PartitionStanding>]>([
    ['by the owner', {}, {}],
    ['by a fallback, whoever owns it', { role: 'fallback' }, { ownership: owned('b', 2) }],
    ['where it is asked if it knows no epoch', { epoch: 0 }, { ownership: owned('b', 2) }],
    ['where it is asked if it knows more', { epoch: 3 }, { ownership: owned('b', 2) }],
    ['where it is asked if nobody decides', { epoch: 1 }, { ownership: undefined }],
    ['by the owner while the vnode is copied', {}, { gate: gate('copying') }],
    ['by the target of a seal', { bySeal: true }, { ownership: owned('b', 1), inboundFrom: 'b' }],
    [
      'by a target that no list names yet',
      { bySeal: true },
      { ownership: owned(undefined, 1), inboundFrom: 'b' },
    ],
    [
      'by the target when its document is newer',
      { bySeal: true },
      { ownership: owned('b', 2), inboundFrom: 'b' },
    ],
    ['by the target that has restarted and owns it by now', { bySeal: true }, { ownership: owned('a', 2) }],
  ])('%s', (_where, routing, at) => {
    expect(ask(routing, at)).toEqual(HERE)
  })

  it('for readers, not for writers, in the moment of handing over', () => {
    expect(ask({}, { gate: gate('pausing') }, 'read')).toEqual(HERE)
    expect(ask({}, { gate: gate('pausing') }).kind).toBe('wait')
  })
})

describe('a list that got longer', () => {
  const grown = { ownership: { ...owned('a', 9), grownAt: [0, 7] } }

  it('is not served by its holders to those who go by the shorter one', () => {
    for (const kind of ['read', 'write'] as const) {
      expect(ask({ epoch: 6 }, grown, kind)).toEqual({ kind: 'refuse', unsealed: false })
      expect(ask({ epoch: 7 }, grown, kind)).toEqual(HERE)
    }
    expect(ask({ epoch: 6 }, { ownership: { ...owned('a', 9), grownAt: [7, 0] } })).toEqual(HERE)
  })

  it('is not served either when somebody else sends them there, by whatever way', () => {
    const elsewhere = { ownership: { ...grown.ownership, ownerOf: () => 'b' } }
    for (const at of [elsewhere, { ...grown, gate: gate('sealed') }]) {
      expect(ask({ epoch: 6 }, { ...at, handsOn: true })).toEqual({ kind: 'refuse', unsealed: false })
      expect(ask({ epoch: 7 }, at)).toMatchObject({ kind: 'forward', to: 'b', routing: { epoch: 9 } })
    }
    expect(ask({ epoch: 6, bySeal: true }, grown)).toEqual({ kind: 'refuse', unsealed: false })
    expect(ask({ epoch: 0 }, { ...grown, gate: gate('sealed') })).toMatchObject({ kind: 'forward' })
  })

  it('is served to them by a holder that hands on what they write, and to those who go by none', () => {
    expect(ask({ epoch: 6 }, { ...grown, handsOn: true })).toEqual(HERE)
    expect(ask({ epoch: 0 }, grown)).toEqual(HERE)
    expect(ask({ epoch: 6, role: 'fallback' }, grown)).toEqual(HERE)
  })
})

describe('a request is sent on', () => {
  it('by a former owner, with the epoch that says so', () => {
    const routing = { ...PRIMARY, epoch: 2, forwards: 1 }
    expect(ask({}, { ownership: owned('b', 2) })).toEqual({ kind: 'forward', to: 'b', routing })
  })

  it('over a seal, whoever asks', () => {
    const routing = { role: 'fallback', epoch: 4, forwards: 1, bySeal: true }
    const way = ask({ role: 'fallback', epoch: 4 }, { gate: gate('sealed') }, 'read')
    expect(way).toEqual({ kind: 'forward', to: 'b', routing })
  })

  it('by a target whose document knows yet another owner', () => {
    const way = ask({ bySeal: true }, { ownership: owned('c', 2), inboundFrom: 'b' })
    expect(way).toMatchObject({ kind: 'forward', to: 'c', routing: { bySeal: false, epoch: 2 } })
  })
})

describe('a read is not sent on to an older copy', () => {
  const known = {
    ...owned('b', 9),
    readsFromOf: (node: string) => (node === 'b' ? 7 : Number.POSITIVE_INFINITY),
  }
  it.each<[string, Partial<PartitionStanding>]>([
    ['by a former owner', { ownership: known }],
    ['over a seal', { ownership: known, gate: gate('sealed') }],
  ])('%s, for whoever does not know that it is one', (_, at) => {
    for (const epoch of [at.gate === undefined ? 1 : 0, 6])
      expect(ask({ epoch }, at, 'read').kind).toBe('refuse')
    expect(ask({ epoch: 7 }, at, 'read')).toMatchObject({ kind: 'forward', to: 'b' })
    expect(ask({ epoch: 6 }, at, 'write')).toMatchObject({ kind: 'forward', to: 'b' })
  })
})

describe('a request is refused', () => {
  it('by a target that does not know of the seal, which says so', () => {
    const way = ask({ bySeal: true }, { ownership: owned('b', 1) })
    expect(way).toEqual({ kind: 'refuse', unsealed: true })
  })

  it('by a node that has no idea who took the partition over', () => {
    expect(ask({}, { ownership: owned(undefined, 2) })).toEqual({ kind: 'refuse', unsealed: false })
  })

  it('while the other node cannot be told that it has the partition', () => {
    expect(ask({}, { gate: gate('cut-off') }).kind).toBe('refuse')
    expect(ask({}, { gate: gate('resealing') }, 'read').kind).toBe('wait')
  })
})

const NODES = ['a', 'b', 'c', 'd']
const node = fc.constantFrom(...NODES)

/** Any state of a few nodes, sane or not. */
const states = fc.array(
  fc.record({
    gate: fc.option(
      fc.record({ to: node, phase: fc.constantFrom<GatePhase>('copying', 'pausing', 'sealed', 'cut-off') }),
      { nil: undefined },
    ),
    inboundFrom: fc.option(node, { nil: undefined }),
    epoch: fc.integer({ min: 1, max: 4 }),
  }),
  { minLength: 4, maxLength: 4 },
)

/** Who owns the partition in each epoch. */
const history = fc.array(fc.option(node, { nil: undefined, freq: 9 }), { minLength: 5, maxLength: 5 })

const routings = fc.record({
  role: fc.constantFrom<Routing['role']>('primary', 'fallback'),
  epoch: fc.integer({ min: 0, max: 4 }),
})

describe('in any state of nodes', () => {
  it('a request comes to an end after a few steps', () => {
    fc.assert(
      fc.property(states, history, routings, node, (nodes, owners, start, first) => {
        let at = first
        let routing: Routing = { ...PRIMARY, ...start }
        for (let steps = 0; steps < 6; steps++) {
          const way = wayAt(at, routing)
          if (way.kind !== 'forward') return true
          at = way.to
          routing = way.routing
        }
        return false

        function wayAt(name: string, asked: Routing): Route {
          const state = nodes[NODES.indexOf(name)]!
          const ownership = owned(owners[state.epoch], state.epoch)
          return route({ partition: 1, kind: 'write', routing: asked }, { ...state, node: name, ownership })
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('the short way says what the long one says', () => {
    fc.assert(
      fc.property(states, history, routings, fc.boolean(), ([state], owners, start, bySeal) => {
        const routing = { ...PRIMARY, ...start, bySeal }
        const { epoch, inboundFrom } = state!
        const ownership = owned(owners[epoch], epoch)
        const at = { node: 'a', gate: undefined, inboundFrom, ownership }
        const way = route({ partition: 1, kind: 'write', routing }, at)
        return !isPlainlyHere(routing, ownership) || way.kind === 'here'
      }),
    )
  })

  it('with the same document at both ends, the owner serves what it is asked for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), (epoch) => {
        return ask({ epoch }, { ownership: owned('a', epoch) }).kind === 'here'
      }),
    )
  })
})
