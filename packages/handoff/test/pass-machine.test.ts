import { describe, expect, it } from 'vitest'
import { beginPass, nextPass, type PassAim, type PassEvent, type PassRules } from '../src/pass-machine.ts'
import { explore } from './explore.ts'
import { type Bounds, type Item, type Next, type PassCase, PassWorlds } from './pass-worlds.ts'

const BOUNDS: Bounds = { writes: 2, crashes: 1, failures: 2 }
const GIVE_BACK: PassAim = { kind: 'give-back', type: undefined }
const REFILL: PassAim = { kind: 'refill', id: 'r' }
const HINTS: PassAim = { kind: 'hints', node: 'n2' }
const SPOILT = (['refusal', 'damage', 'bad row'] as const).map((by) => ({ key: 0, by }) as const)

/** Of those in which a record does not move there are many. */
const FEW: Bounds = { writes: 1, crashes: 1, failures: 1 }

const exploreAll = (given: PassCase, next?: Next) => {
  const worlds = new PassWorlds(given, next)
  return explore(worlds, worlds.first(given.spoilt === undefined ? BOUNDS : FEW))
}

const CASES: readonly (readonly [string, PassCase])[] = [
  ['a give-back', { aim: GIVE_BACK }],
  ['a refill', { aim: REFILL }],
  ['hints by key', { aim: HINTS }],
  ['hints of a whole vnode', { aim: HINTS, isWhole: true }],
]

describe.each(CASES)('%s', (_what, given) => {
  it('loses nothing and passes nothing over, whatever fails, is written meanwhile or crashes', () => {
    const { worlds, fault } = exploreAll(given)
    expect(fault).toBeUndefined()
    expect(worlds).toBeGreaterThan(100)
  })

  it.each(SPOILT)('nor where a record does not move because of $by', (spoilt) => {
    expect(exploreAll({ ...given, spoilt }).fault).toBeUndefined()
  })
})

/** A machine whose tasks are others. */
function withTasks(change: (step: ReturnType<Next>, ...args: Parameters<Next>) => ReturnType<Next>): Next {
  return (...args) => change(nextPass(...args), ...args)
}

const FAULTY: readonly (readonly [string, PassCase, Next])[] = [
  [
    'deletes what one of its places lacks',
    { aim: GIVE_BACK, spoilt: { key: 0, by: 'refusal' } },
    (rules, state, event) => {
      if (state.at !== 'offering' || event.kind !== 'pushed') return nextPass(rules, state, event)
      return nextPass(rules, state, { ...event, held: state.offering.to.items })
    },
  ],
  [
    'asks the first place alone',
    { aim: GIVE_BACK },
    (rules, state, event) => {
      if (state.at !== 'offering') return nextPass(rules, state, event)
      return nextPass(rules, { ...state, offering: { ...state.offering, waiting: [] } }, event)
    },
  ],
  [
    'goes on at the page after the next one',
    { aim: REFILL },
    withTasks((step) => {
      const { task } = step
      return task?.do === 'save-cursor' ? { ...step, task: { ...task, cursor: Uint8Array.of(2) } } : step
    }),
  ],
  [
    'forgets a hint of what is lacking',
    { aim: HINTS, spoilt: { key: 0, by: 'refusal' } },
    (rules, state, event) => nextPass({ ...rules, nameOf: () => 'another one' }, state, event),
  ],
  [
    'forgets a hint of what is damaged',
    { aim: HINTS, spoilt: { key: 0, by: 'bad row' } },
    (rules, state, event) => {
      if (event.kind !== 'page') return nextPass(rules, state, event)
      return nextPass(rules, state, { kind: 'page', page: { ...event.page, corrupt: [] } })
    },
  ],
  [
    'takes a whole vnode for filled after its first page',
    { aim: HINTS, isWhole: true },
    (rules, state, event) => {
      if (event.kind !== 'page' || state.at !== 'reading' || state.course.leg.kind !== 'refill')
        return nextPass(rules, state, event)
      return nextPass(rules, state, { kind: 'page', page: { ...event.page, next: undefined } })
    },
  ],
  [
    'does not tell its places that it is over',
    { aim: REFILL },
    withTasks((step) => {
      return step.state.at === 'ending' ? { state: step.state.outcome, task: undefined } : step
    }),
  ],
]

describe('a machine is found out that', () => {
  it.each(FAULTY)('%s', (_what, given, next) => {
    expect(exploreAll(given, next).fault).toBeDefined()
  })
})

const item = (key: 0 | 1): Item => ({ key, version: 1, bytes: 10 })
const [A, B] = [item(0), item(1)]
const N2 = { node: 'n2', partition: 1 }
const N3 = { node: 'n3', partition: 1 }
const page = (records: readonly Item[], next?: Uint8Array) =>
  ({ kind: 'page', page: { records, notes: [], corrupt: [], next } }) as const

const rulesOf = (aim: PassAim, select: PassRules<Item>['select'] = () => [N2, N3]): PassRules<Item> => ({
  aim,
  select,
  nameOf: ({ key }) => `${key}`,
  nameOfHint: (key) => `${key[0]}`,
})

/** The tasks of a pass to which these events come, and how it ends. */
function tasksOf(rules: PassRules<Item>, events: readonly PassEvent<Item>[]) {
  let step = beginPass<Item>(rules)
  const tasks = [step.task]
  for (const event of events) {
    step = nextPass(rules, step.state, event)
    if (step.task !== undefined) tasks.push(step.task)
  }
  return { tasks, end: step.task === undefined ? step.state : undefined }
}

const DONE = { kind: 'done' } as const
const held = (items: readonly Item[]) => ({ kind: 'pushed', held: items, damaged: [] }) as const
const NEXT = Uint8Array.of(1)

describe('the steps of a pass', () => {
  it('that gives back: each page to all places, and what all have goes', () => {
    const { tasks, end } = tasksOf(rulesOf(GIVE_BACK), [
      page([A, B], NEXT),
      held([A, B]),
      { kind: 'pushed', held: [A], damaged: [B] },
      { kind: 'removed', items: [A] },
      page([]),
      { kind: 'removed', items: [] },
      { kind: 'counted', records: 1 },
      DONE,
    ])
    expect(tasks).toEqual([
      { do: 'read-page', leg: GIVE_BACK, cursor: undefined },
      { do: 'push', items: [A, B], to: N2 },
      { do: 'push', items: [A, B], to: N3 },
      { do: 'remove', items: [A], type: undefined },
      { do: 'read-page', leg: GIVE_BACK, cursor: NEXT },
      { do: 'remove', items: [], type: undefined },
      { do: 'count', type: undefined },
      { do: 'end', places: [N2, N3] },
    ])
    expect(end).toEqual({ at: 'done', tally: { records: 1, bytes: 10, refused: 0, corrupt: 1, left: 1 } })
  })

  it('that gives back to nobody deletes nothing', () => {
    const rules = rulesOf(GIVE_BACK, ({ key }) => (key === 0 ? [] : [N2]))
    const { tasks } = tasksOf(rules, [page([A, B]), held([B])])
    expect(tasks.at(-1)).toEqual({ do: 'remove', items: [B], type: undefined })
    const none = tasksOf(
      rulesOf(GIVE_BACK, () => []),
      [page([A, B])],
    )
    expect(none.tasks.at(-1)).toEqual({ do: 'remove', items: [], type: undefined })
  })

  it('that refills: from its cursor on, of each record to those who lack it', () => {
    const leg = { ...REFILL, owedTo: undefined }
    const rules = rulesOf(REFILL, ({ key }) => (key === 0 ? [N2] : [N3]))
    const { tasks, end } = tasksOf(rules, [
      DONE,
      { kind: 'cursor', cursor: NEXT },
      page([A, B], NEXT),
      held([A]),
      held([]),
      DONE,
      page([A]),
      held([A]),
      DONE,
      DONE,
    ])
    expect(tasks).toEqual([
      { do: 'settle-writes' },
      { do: 'read-cursor', id: 'r' },
      { do: 'read-page', leg, cursor: NEXT },
      { do: 'push', items: [A], to: N2 },
      { do: 'push', items: [B], to: N3 },
      { do: 'save-cursor', id: 'r', cursor: NEXT },
      { do: 'read-page', leg, cursor: NEXT },
      { do: 'push', items: [A], to: N2 },
      { do: 'forget-cursor', id: 'r' },
      { do: 'end', places: [N2, N3] },
    ])
    expect(end).toMatchObject({ at: 'done' })
  })

  it('that delivers hints: the whole vnode first if that is owed, and then those by key', () => {
    const leg = { kind: 'refill', id: 'whole', owedTo: 'n2' } as const
    const noted = { records: [A, B], notes: [Uint8Array.of(0), NEXT, Uint8Array.of(2)], corrupt: [] }
    const { tasks, end } = tasksOf(
      rulesOf(HINTS, () => [N2]),
      [
        { kind: 'owed', id: 'whole' },
        DONE,
        { kind: 'cursor', cursor: undefined },
        page([A]),
        held([A]),
        DONE,
        DONE,
        DONE,
        { kind: 'page', page: { ...noted, next: undefined } },
        held([A]),
        DONE,
        DONE,
        DONE,
      ],
    )
    expect(tasks).toEqual([
      { do: 'find-owed', node: 'n2' },
      { do: 'settle-writes' },
      { do: 'read-cursor', id: 'whole' },
      { do: 'read-page', leg, cursor: undefined },
      { do: 'push', items: [A], to: N2 },
      { do: 'forget-cursor', id: 'whole' },
      { do: 'save-filled', id: 'whole', node: 'n2' },
      { do: 'watch', node: 'n2' },
      { do: 'read-page', leg: HINTS, cursor: undefined },
      { do: 'push', items: [A, B], to: N2 },
      // Of what is not there any more nobody needs a hint.
      { do: 'forget-hints', keys: [Uint8Array.of(0), Uint8Array.of(2)] },
      { do: 'reload-hints', node: 'n2' },
      { do: 'end', places: [N2] },
    ])
    expect(end).toMatchObject({ at: 'done', tally: { refused: 1, corrupt: 0 } })
  })

  it('that fails: whoever was offered something hears of the end, and nobody else', () => {
    const failed = { kind: 'failed', cause: 'lost' } as const
    expect(tasksOf(rulesOf(REFILL), [failed])).toMatchObject({ end: { at: 'failed', cause: 'lost' } })
    const begun = [DONE, { kind: 'cursor', cursor: undefined }, page([A]), held([A]), failed] as const
    const { tasks, end } = tasksOf(rulesOf(REFILL), begun)
    expect(tasks.at(-1)).toEqual({ do: 'end', places: [N2, N3] })
    expect(end).toBeUndefined()
    // Even that it is not heard changes nothing.
    expect(tasksOf(rulesOf(REFILL), [...begun, failed]).end).toEqual({ at: 'failed', cause: 'lost' })
  })
})
