import { AtollError, type AtollErrorCode } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { type PutEffect, type PutEvent, PutMachine, type PutPlan } from '../src/put-machine.ts'
import type { WriteQuorum } from '../src/quorum.ts'
import { record, sparesAmong, targets } from './machine-kit.ts'

const written = record({ a: 1 })
const error = (code: AtollErrorCode, definite?: boolean) =>
  new AtollError(code, code, definite === undefined ? {} : { definite })

const quorumOf = (changes: Partial<WriteQuorum> = {}): WriteQuorum => ({
  n: 3,
  w: 2,
  dw: 2,
  pw: 0,
  sloppy: true,
  ...changes,
})

function planOf(changes: Partial<PutPlan> = {}): PutPlan {
  return {
    targets: targets('ppp'),
    quorum: quorumOf(),
    local: 'n1',
    record: undefined,
    spareFor: sparesAmong(),
    ...changes,
  }
}

const OUTCOMES = {
  ok: undefined,
  busy: error('ATOLL_OVERLOADED'),
  dead: error('ATOLL_UNREACHABLE'),
  closed: error('ATOLL_CLOSED'),
  broken: error('ATOLL_STORAGE'),
  foreign: error('ATOLL_UNAUTHORIZED'),
  strange: error('ATOLL_PROTOCOL'),
  silent: error('ATOLL_TIMEOUT'),
}
type Outcome = keyof typeof OUTCOMES

/** Tells a story: "n1 ok" ends the call of n1, whatever it is. */
function story(plan: PutPlan, lines: string): string {
  const machine = new PutMachine(plan)
  const pending = new Map<string, PutEffect & { kind: 'coordinate' | 'store' }>()
  const apply = (effects: readonly PutEffect[]) =>
    effects.map((effect) => {
      if (effect.kind === 'met') return effect.alone ? 'met alone' : 'met'
      if (effect.kind === 'declined') return 'declined'
      if (effect.kind === 'unmet')
        return `${effect.timedOut ? 'timeout' : machine.definite() ? 'rejected' : 'unknown'}`
      pending.set(effect.target.node, effect)
      return `${effect.kind} ${effect.target.node}`
    })
  const told = [`start: ${apply(machine.step({ kind: 'start' })).join(', ')}`]
  for (const line of lines.split(', ')) {
    const [node = '', outcome = 'ok'] = line.split(' ')
    const effect = pending.get(node)
    const effects =
      effect === undefined ? machine.step({ kind: 'timeout' }) : settle(machine, effect, outcome)
    told.push([line, apply(effects).join(', ')].filter((text) => text !== '').join(': '))
  }
  return told.join('; ')
}

function settle(machine: PutMachine, effect: PutEffect, outcome: string): readonly PutEffect[] {
  if (effect.kind !== 'coordinate' && effect.kind !== 'store') return []
  return machine.step(eventOf(effect, outcome as Outcome | Word))
}

type Word = 'accepted' | 'alone' | 'decided' | 'declined'

function eventOf(effect: PutEffect & { kind: 'coordinate' | 'store' }, outcome: Outcome | Word): PutEvent {
  const { at } = effect
  if (outcome === 'decided') return { kind: outcome, at, record: written }
  if (outcome === 'accepted' || outcome === 'declined') return { kind: outcome, at }
  if (outcome === 'alone') return { kind: 'stored', at, alone: true }
  const failure = OUTCOMES[outcome]
  if (failure !== undefined) return { kind: 'failed', at, error: failure }
  return effect.kind === 'coordinate' ? { kind: 'coordinated', at, record: written } : { kind: 'stored', at }
}

describe('while a replica is being filled', () => {
  const newcomer = { node: 'n2', others: { w: 2, dw: 2, pw: 0 } }

  test('a write is met when it is without that one as well', () => {
    const plan = planOf({ newcomer })
    expect(story(plan, 'n1 ok, n2 ok, n0 ok')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 ok; n0 ok: met',
    )
    expect(story(plan, 'n1 ok, n2 ok, n0 busy')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 ok; n0 busy: unknown',
    )
    expect(story(planOf({ newcomer: { ...newcomer, others: { w: 1, dw: 1, pw: 0 } } }), 'n1 ok, n2 ok')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 ok: met',
    )
  })

  test('that one does not coordinate, and does not say that there is nothing else', () => {
    const local = planOf({
      newcomer: { ...newcomer, others: { w: 1, dw: 1, pw: 0 } },
      local: 'n2',
      aloneAt: 2,
    })
    expect(story(local, 'n0 ok, n2 alone, n1 busy')).toBe(
      'start: coordinate n0; n0 ok: store n1, store n2; n2 alone; n1 busy: met',
    )
  })
})

test('a primary coordinates, though the local node is a fallback; an older copy does so last', () => {
  expect(story(planOf({ targets: targets('ppf'), local: 'n2' }), 'n0 ok')).toContain('start: coordinate n0')
  expect(story(planOf({ targets: targets('fff'), local: 'n2' }), 'n2 ok')).toContain('start: coordinate n2')
  const older = targets('ppp').map((entry, at) => (at === 0 ? { ...entry, isBehind: true as const } : entry))
  expect(story(planOf({ targets: older, local: 'n0' }), 'n1 ok')).toContain('start: coordinate n1')
})

describe('a write that shall be alone', () => {
  const plan = planOf({ aloneAt: 2 })
  test('is, when as many primaries say so as a read would ask', () => {
    expect(story(plan, 'n1 ok, n2 alone, n0 ok')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 alone: met alone; n0 ok',
    )
  })
  test('is not, as soon as one of them has met something else', () => {
    expect(story(plan, 'n1 ok, n2 ok')).toBe('start: coordinate n1; n1 ok: store n0, store n2; n2 ok: met')
  })
  test('waits for the word of more replicas than its quorum needs', () => {
    const all = planOf({ aloneAt: 3 })
    expect(story(all, 'n1 ok, n2 alone, n0 alone')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 alone; n0 alone: met alone',
    )
    expect(story(all, 'n1 ok, n2 alone, n0 busy')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 alone; n0 busy: met',
    )
    expect(story(all, 'n1 ok, n2 alone, timeout')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 alone; timeout: met',
    )
  })
  test('is not so on the word of fallbacks', () => {
    const fallback = planOf({ aloneAt: 2, targets: targets('pff'), local: 'n0' })
    expect(story(fallback, 'n0 ok, n1 alone')).toBe(
      'start: coordinate n0; n0 ok: store n1, store n2; n1 alone: met',
    )
  })
  test('is declined by the first replica, and nobody else hears of it', () => {
    expect(story(plan, 'n1 declined')).toBe('start: coordinate n1; n1 declined: declined')
  })
  test('that an older copy knows of nothing else tells nothing', () => {
    const entries = targets('ppp').map((entry, at) =>
      at === 2 ? { ...entry, isBehind: true as const } : entry,
    )
    const behind = planOf({ aloneAt: 2, targets: entries })
    expect(story(behind, 'n1 ok, n2 alone, n0 alone')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 alone; n0 alone: met alone',
    )
    expect(story(behind, 'n1 ok, n2 alone, n0 busy')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 alone; n0 busy: met',
    )
  })

  test('is written unconditionally once it may have happened, and is not sure to be alone then', () => {
    const machine = new PutMachine(plan)
    expect(machine.step({ kind: 'start' })).toMatchObject([{ kind: 'coordinate', at: 1, ifAlone: true }])
    const silent = { kind: 'failed', at: 1, error: error('ATOLL_TIMEOUT') } as const
    expect(machine.step(silent)).toMatchObject([{ kind: 'coordinate', at: 0, ifAlone: false }])
    machine.step({ kind: 'coordinated', at: 0, record: written })
    expect(machine.step({ kind: 'stored', at: 2, alone: true })).toMatchObject([
      { kind: 'met', alone: false },
    ])
  })
})

describe('stories', () => {
  test('the local replica coordinates, the others follow, two are enough', () => {
    expect(story(planOf(), 'n1 ok, n2 ok, n0 ok')).toBe(
      'start: coordinate n1; n1 ok: store n0, store n2; n2 ok: met; n0 ok',
    )
  })
  test('without a local replica the first primary coordinates', () => {
    const plan = planOf({ local: 'n9', targets: targets('fpp') })
    expect(story(plan, 'n1 ok')).toBe('start: coordinate n1; n1 ok: store n0, store n2')
  })
  test('when it fails the next one coordinates, and the busy one may still store', () => {
    expect(story(planOf(), 'n1 busy, n0 silent, n2 ok, n1 ok')).toBe(
      'start: coordinate n1; n1 busy: coordinate n0; n0 silent: coordinate n2; n2 ok: store n0, store n1; n1 ok: met',
    )
  })
  test('a node found dead is replaced by the next fallback, whenever it dies', () => {
    const plan = planOf({ spareFor: sparesAmong('n7', 'n8') })
    expect(story(plan, 'n1 dead, n0 ok, n2 dead, n7 ok, n8 ok')).toBe(
      'start: coordinate n1; n1 dead: coordinate n0; n0 ok: store n2, store n7; n2 dead: store n8; n7 ok: met; n8 ok',
    )
  })
  test.each(['closed', 'foreign', 'strange', 'broken'])(
    'a node that is %s is replaced like a dead one',
    (why) => {
      const plan = planOf({ spareFor: sparesAmong('n7', 'n8') })
      expect(story(plan, `n1 ${why}, n0 ok, n2 ${why}, n7 ok, n8 ok`)).toBe(
        `start: coordinate n1; n1 ${why}: coordinate n0; n0 ok: store n2, store n7; n2 ${why}: store n8; n7 ok: met; n8 ok`,
      )
    },
  )
  test('what a broken disk holds is unknown, what a closed node holds is not', () => {
    expect(story(planOf(), 'n1 closed, n0 closed')).toMatch(/n0 closed: rejected$/)
    expect(story(planOf(), 'n1 broken, n0 closed')).toMatch(/n0 closed: unknown$/)
  })
  test('a strict write replaces nobody', () => {
    const plan = planOf({ quorum: quorumOf({ sloppy: false }), spareFor: sparesAmong('n7') })
    expect(story(plan, 'n1 dead, n0 dead')).toBe(
      'start: coordinate n1; n1 dead: coordinate n0; n0 dead: rejected',
    )
  })
  test('refused by all: rejected; silence among them: unknown', () => {
    expect(story(planOf(), 'n1 busy, n0 busy, n2 busy')).toMatch(/n2 busy: rejected$/)
    expect(story(planOf(), 'n1 busy, n0 silent, n2 busy')).toMatch(/n2 busy: unknown$/)
  })
  test('too few on disk: unknown, since one has it', () => {
    expect(story(planOf(), 'n1 ok, n0 busy, n2 busy')).toMatch(/n0 busy; n2 busy: unknown$/)
  })
  test('time over while a replica coordinates: unknown, and nobody else is asked, but what comes late is spread', () => {
    expect(story(planOf(), 'timer, n1 ok')).toBe(
      'start: coordinate n1; timer: timeout; n1 ok: store n0, store n2',
    )
    expect(story(planOf(), 'timer, n1 busy')).toBe('start: coordinate n1; timer: timeout; n1 busy')
  })
  test('pw counts primaries on disk, and is not met by a spare', () => {
    const plan = planOf({ quorum: quorumOf({ pw: 3 }), spareFor: sparesAmong('n7') })
    expect(story(plan, 'n1 ok, n0 ok, n2 dead')).toMatch(/n2 dead: store n7, unknown$/)
  })
  test('where w is above dw, in memory counts for w', () => {
    const plan = planOf({ quorum: quorumOf({ w: 3, dw: 1 }) })
    expect(story(plan, 'n1 ok, n0 accepted, n2 accepted')).toMatch(/n2 accepted: met$/)
    expect(story(plan, 'n1 ok, n0 accepted, n0 busy')).toMatch(/n0 busy: unknown$/)
  })
  test('a finished record goes to all at once', () => {
    const plan = planOf({ record: written })
    expect(story(plan, 'n2 ok, n0 busy, n1 ok')).toBe(
      'start: store n0, store n1, store n2; n2 ok; n0 busy; n1 ok: met',
    )
  })
  test('once a replica has decided, the others store, and what comes of it is the same', () => {
    expect(story(planOf(), 'n1 decided, n2 ok, n0 ok, n1 alone')).toBe(
      'start: coordinate n1; n1 decided: store n0, store n2; n2 ok; n0 ok: met; n1 alone',
    )
    expect(story(planOf({ aloneAt: 2 }), 'n1 decided, n2 alone, n1 alone, n0 ok')).toBe(
      'start: coordinate n1; n1 decided: store n0, store n2; n2 alone; n1 alone: met alone; n0 ok',
    )
  })
  test('one that has decided and fails is asked to store, unless it is replaced, or the write is answered', () => {
    expect(story(planOf(), 'n1 decided, n0 busy, n1 silent, n1 ok, n2 ok')).toBe(
      'start: coordinate n1; n1 decided: store n0, store n2; n0 busy; n1 silent: store n1; n1 ok; n2 ok: met',
    )
    expect(story(planOf(), 'n1 decided, n0 busy, n1 silent, n1 silent')).toMatch(/n1 silent: unknown$/)
    expect(story(planOf(), 'n1 decided, n0 ok, n2 ok, n1 silent')).toMatch(/n2 ok: met; n1 silent$/)
    const plan = planOf({ spareFor: sparesAmong('n7') })
    expect(story(plan, 'n1 decided, n0 busy, n1 broken, n7 ok, n2 ok')).toMatch(
      /n1 broken: store n7; n7 ok; n2 ok: met$/,
    )
  })
  test('one that has decided may have it: what failed elsewhere is unknown', () => {
    expect(story(planOf(), 'n1 decided, n0 busy, n2 busy')).toMatch(/n2 busy: unknown$/)
    expect(story(planOf(), 'n1 decided, timer')).toMatch(/timer: timeout$/)
  })
  test('what a replica has decided twice, or after it has failed, is of no account', () => {
    const machine = new PutMachine(planOf())
    machine.step({ kind: 'start' })
    const decided = { kind: 'decided', at: 1, record: written } as const
    expect(machine.step(decided)).toHaveLength(2)
    expect(machine.step(decided)).toHaveLength(0)
    const failed = new PutMachine(planOf())
    failed.step({ kind: 'start' })
    failed.step({ kind: 'failed', at: 1, error: error('ATOLL_TIMEOUT') })
    expect(failed.step(decided)).toHaveLength(0)
  })
  test('one that has decided, and whose answer is lost as those of all others are, is told who may lack it', () => {
    const machine = new PutMachine(planOf())
    machine.step({ kind: 'start' })
    machine.step({ kind: 'decided', at: 1, record: written })
    for (const at of [0, 2]) machine.step({ kind: 'failed', at, error: error('ATOLL_TIMEOUT'), of: written })
    const broken = error('ATOLL_UNREACHABLE', false)
    machine.step({ kind: 'failed', at: 1, error: broken, of: written })
    const [doubt, ...more] = machine.missed(() => [])
    expect(more).toEqual([])
    expect([doubt?.holders.map(({ node }) => node), doubt?.nodes]).toEqual([['n1'], ['n0', 'n2']])
  })
  test('one replica is enough for one', () => {
    const plan = planOf({ targets: targets('p'), quorum: quorumOf({ n: 1, w: 1, dw: 1 }) })
    expect(story(plan, 'n0 ok')).toBe('start: coordinate n0; n0 ok: met')
  })
})

interface Pending {
  readonly effect: PutEffect & { kind: 'coordinate' | 'store' }
  outcome?: Outcome
}

/** Follows every order of every outcome of every call, and counts afresh what is where. */
describe('every course of a write', () => {
  const shapes: [string, Partial<PutPlan>][] = [
    ['quorum', {}],
    ['all', { quorum: quorumOf({ w: 3, dw: 3 }) }],
    ['one', { quorum: quorumOf({ w: 1, dw: 1 }) }],
    ['primaries', { quorum: quorumOf({ pw: 2 }), targets: targets('ppf') }],
    ['a spare', { spareFor: sparesAmong('n7') }],
    ['a broken disk', { spareFor: sparesAmong('n7', 'n8') }],
    ['strict', { quorum: quorumOf({ sloppy: false }), spareFor: sparesAmong('n7') }],
    ['finished', { record: written, spareFor: sparesAmong('n7') }],
    ['decided', {}],
    ['decided, with a spare', { spareFor: sparesAmong('n7') }],
    ['decided by all', { quorum: quorumOf({ w: 3, dw: 3 }), spareFor: sparesAmong('n7') }],
  ]
  // Silence and a broken disk differ only in whether somebody stands in.
  test.each(shapes)('%s', (name, changes) => {
    const plan = planOf(changes)
    const outcomes = (
      name === 'a broken disk' ? ['ok', 'dead', 'broken'] : ['ok', 'busy', 'dead', 'silent']
    ) as Outcome[]
    let courses = 0
    explore([])
    expect(courses).toBeGreaterThan(100)

    function explore(course: readonly { at: number; outcome: Outcome }[]): void {
      const pending = replay(plan, course, name.startsWith('decided'))
      if (pending.length === 0) courses += 1
      for (let at = 0; at < pending.length; at++) {
        for (const outcome of outcomes) explore([...course, { at, outcome }])
      }
    }
  })
})

const isUnable = (outcome: Outcome | undefined) => outcome === 'dead' || outcome === 'broken'

/** Runs a course from the start, checking at every step; answers the calls that are still open. */
function replay(
  plan: PutPlan,
  course: readonly { at: number; outcome: Outcome }[],
  tellsDecided: boolean,
): readonly Pending[] {
  const machine = new PutMachine(plan)
  const open: Pending[] = []
  const calls: Pending[] = []
  /** Of which the replica has decided, and so only stores from then on. */
  const told = new Set<Pending>()
  let decided: PutEffect | undefined
  const fail = (why: string) =>
    new Error(
      `${why}: ${JSON.stringify(calls.map(({ effect, outcome }) => [effect.kind, effect.at, outcome]))}`,
    )

  const apply = (effects: readonly PutEffect[]) => {
    for (const effect of effects) {
      if (effect.kind === 'coordinate' || effect.kind === 'store') {
        const pending: Pending = { effect }
        open.push(pending)
        calls.push(pending)
        if (tellsDecided && effect.kind === 'coordinate') {
          told.add(pending)
          apply(machine.step({ kind: 'decided', at: effect.at, record: written }))
        }
      } else if (decided !== undefined) throw fail('decided twice')
      else decided = effect
    }
    for (const effect of effects) {
      if (effect.kind === 'met' && !holdsQuorum()) throw fail('met below its quorum')
      if (effect.kind === 'unmet' && machine.definite() !== happenedNowhere())
        throw fail('wrong about the outcome')
    }
  }
  const done = () => calls.filter(({ outcome }) => outcome === 'ok')
  const holdsQuorum = () => {
    const { w, dw, pw } = plan.quorum
    const primaries = done().filter(({ effect }) => effect.target.role === 'primary').length
    return done().length >= Math.max(w, dw) && primaries >= pw
  }
  const happenedNowhere = () => calls.every(({ outcome }) => outcome === 'busy' || outcome === 'dead')

  apply(machine.step({ kind: 'start' }))
  for (const { at, outcome } of course) {
    const [pending] = open.splice(at, 1)
    if (pending === undefined) throw fail('no such call')
    pending.outcome = outcome
    const event = eventOf(pending.effect, outcome)
    const isStored = told.has(pending) && event.kind === 'coordinated'
    apply(machine.step(isStored ? { kind: 'stored', at: event.at, of: event.record } : event))
  }

  const tally = machine.tally()
  if (tally.durable !== done().length) throw fail(`counts ${tally.durable} durable`)
  for (const { effect, outcome } of calls) {
    const toIt = calls.filter((other) => other.effect.target.node === effect.target.node)
    if (toIt.filter((other) => other.effect.kind === effect.kind).length > 1) throw fail('asked twice')
    if (isUnable(outcome) && !isUnable(toIt.at(-1)?.outcome)) throw fail('asked again, though dead')
  }
  if (open.length === 0) {
    if (decided === undefined) throw fail('never decided')
    if ((decided.kind === 'met') !== holdsQuorum()) throw fail('wrong decision')
  }
  return open
}
