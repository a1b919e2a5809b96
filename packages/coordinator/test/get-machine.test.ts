import { type MergePolicy, mergeRecords, recordsEqual, type StoredRecord } from '@atoll/causality'
import { AtollError } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { describe, expect, test } from 'vitest'
import { type GetEffect, type GetEvent, GetMachine } from '../src/get-machine.ts'
import type { ReadQuorum } from '../src/quorum.ts'
import { record, sparesAmong, targets } from './machine-kit.ts'

const policy: MergePolicy = { kind: 'siblings' }
const older = record({ a: 1 })
const newer = record({ a: 2 })
const beside = record({ b: 1 })
const down = new AtollError('ATOLL_UNREACHABLE', 'down')

const busy = new AtollError('ATOLL_OVERLOADED', 'busy')

type Answer = 'older' | 'newer' | 'beside' | 'missing' | 'corrupt' | 'failed' | 'busy'
const RECORDS: Partial<Record<Answer, StoredRecord>> = { older, newer, beside }

function eventOf(answer: Answer, at: number): GetEvent {
  if (answer === 'failed') return { kind: 'failed', at, error: down }
  if (answer === 'busy') return { kind: 'failed', at, error: busy }
  if (answer === 'missing' || answer === 'corrupt') return { kind: answer, at }
  return { kind: 'found', at, record: RECORDS[answer] ?? older }
}

const quorumOf = (changes: Partial<ReadQuorum> = {}): ReadQuorum => ({
  n: 3,
  r: 2,
  pr: 0,
  notfoundOk: true,
  basicQuorum: false,
  absence: 'primaries',
  sloppy: true,
  ...changes,
})

function targetsBehind(roles: string, behind: readonly string[]): readonly PreferenceEntry[] {
  return targets(roles).map((entry) => (behind.includes(entry.node) ? { ...entry, isBehind: true } : entry))
}

/** Tells a story: every line is an event and what it leads to. */
function story(
  roles: string,
  quorum: Partial<ReadQuorum>,
  answers: string,
  {
    repair = false,
    spares = [] as string[],
    behind = [] as string[],
    shows = (_: StoredRecord): boolean => true,
  } = {},
): string {
  const plan = { targets: targetsBehind(roles, behind), quorum: quorumOf(quorum), policy, repair, shows }
  const machine = new GetMachine({ ...plan, spareFor: sparesAmong(...spares) })
  return answers
    .split(', ')
    .map((line) => {
      const [at, answer] = line.split(' ')
      const effects = machine.step(
        line === 'timeout' || line === 'silence' ? { kind: line } : eventOf(answer as Answer, Number(at)),
      )
      return `${line}${effects.map(tell).join('')}`
    })
    .join('; ')
}

function tell(effect: GetEffect): string {
  if (effect.kind === 'unmet') return effect.timedOut ? ' -> timeout' : ' -> unmet'
  if (effect.kind === 'repair') return ` -> repair ${effect.at}`
  if (effect.kind === 'ask') return ` -> ask ${effect.target.node}/${effect.target.partition}`
  const { record: answer } = effect
  if (answer === undefined) return ' -> absent'
  const name = Object.entries(RECORDS).find(([, known]) => known === answer)?.[0]
  return ` -> ${name ?? 'merged'}`
}

describe('an older copy', () => {
  const behind = ['n0']

  test('counts for nothing, and what it has is merged, and healed', () => {
    expect(story('ppp', {}, '0 older, 1 newer, 2 newer', { behind })).toBe(
      '0 older; 1 newer; 2 newer -> newer -> repair 0',
    )
    expect(story('ppp', {}, '0 beside, 1 older, 2 missing', { behind })).toBe(
      '0 beside; 1 older; 2 missing -> merged -> repair 0 -> repair 1 -> repair 2',
    )
  })

  test('is no evidence that there is nothing, nor a voice in a quorum', () => {
    expect(story('ppp', {}, '0 missing, 1 missing, 2 missing', { behind })).toBe(
      '0 missing; 1 missing; 2 missing -> absent',
    )
    expect(story('ppp', {}, '0 missing, 1 missing, 2 busy', { behind })).toBe(
      '0 missing; 1 missing; 2 busy -> unmet',
    )
    expect(story('ppp', { pr: 2 }, '0 newer, 1 newer, 2 busy', { behind })).toBe(
      '0 newer; 1 newer; 2 busy -> unmet',
    )
    expect(story('ppp', {}, '0 newer, 1 newer, 2 newer', { behind: ['n0', 'n1', 'n2'] })).toBe(
      '0 newer; 1 newer -> unmet; 2 newer',
    )
  })

  test('does not make nothing of a key by notfoundOk or basicQuorum', () => {
    const quorum = { notfoundOk: false, basicQuorum: true }
    expect(story('ppp', quorum, '0 missing, 1 missing, 2 missing', { behind })).toBe(
      '0 missing; 1 missing -> unmet; 2 missing',
    )
  })
})

describe('stories', () => {
  test('a repairing read hears everyone before it answers', () => {
    expect(story('ppp', {}, '0 newer, 1 newer, 2 missing', { repair: true })).toBe(
      '0 newer; 1 newer; 2 missing -> newer -> repair 2',
    )
    expect(story('ppp', {}, '0 newer, 1 older, timeout', { repair: true })).toBe(
      '0 newer; 1 older; timeout -> newer -> repair 1',
    )
    expect(story('ppp', {}, '0 missing, 1 failed, 2 failed', { repair: true })).toBe(
      '0 missing; 1 failed; 2 failed -> unmet',
    )
  })
  test('the second answer is enough, the third is heard and repaired', () => {
    expect(story('ppp', {}, '0 newer, 1 newer, 2 older')).toBe(
      '0 newer; 1 newer -> newer; 2 older -> repair 2',
    )
  })
  test('a better answer that comes late repairs those that came early', () => {
    expect(story('ppp', {}, '0 older, 1 older, 2 newer')).toBe(
      '0 older; 1 older -> older; 2 newer -> repair 0 -> repair 1',
    )
  })
  test('concurrent writes are merged, and both get the merge', () => {
    expect(story('ppp', { r: 2 }, '0 older, 1 beside, 2 missing')).toBe(
      '0 older; 1 beside -> merged; 2 missing -> repair 0 -> repair 1 -> repair 2',
    )
  })
  test('absent only when no reachable primary is left to ask', () => {
    expect(story('ppp', {}, '0 missing, 1 missing, 2 missing')).toBe(
      '0 missing; 1 missing; 2 missing -> absent',
    )
    expect(story('ppf', { r: 1 }, '2 missing, 0 missing, 1 newer')).toBe(
      '2 missing; 0 missing; 1 newer -> newer -> repair 0',
    )
    expect(story('ppf', {}, '0 missing, 1 missing')).toBe('0 missing; 1 missing -> absent')
    expect(story('ppp', { r: 1 }, '0 missing, 1 failed, 2 failed')).toBe(
      '0 missing; 1 failed; 2 failed -> absent',
    )
  })
  test("a fallback's word for it proves nothing, unless the reader is content with any", () => {
    expect(story('pff', {}, '0 missing, 1 missing, 2 missing')).toBe(
      '0 missing; 1 missing; 2 missing -> unmet',
    )
    expect(story('pff', {}, '0 missing, 1 missing, 2 older')).toBe(
      '0 missing; 1 missing; 2 older -> older -> repair 0',
    )
    expect(story('ppf', {}, '0 missing, 2 missing, 1 failed')).toBe('0 missing; 2 missing; 1 failed -> unmet')
    expect(story('fff', {}, '0 missing, 1 missing, 2 missing')).toBe(
      '0 missing; 1 missing; 2 missing -> unmet',
    )
    expect(story('pff', { absence: 'any' }, '0 missing, 1 missing')).toBe('0 missing; 1 missing -> absent')
    expect(story('pff', { notfoundOk: false }, '0 missing, 1 missing, 2 missing')).toBe(
      '0 missing; 1 missing; 2 missing -> unmet',
    )
  })
  test('what does not show takes the word of r primaries as well', () => {
    const shows = (found: StoredRecord) => found !== older
    expect(story('ppf', {}, '2 older, 0 older, 1 newer', { shows })).toBe(
      '2 older; 0 older; 1 newer -> newer -> repair 0',
    )
    expect(story('ppf', {}, '2 older, 0 older, 1 missing', { shows })).toBe(
      '2 older; 0 older; 1 missing -> older -> repair 1',
    )
    expect(story('ppf', {}, '2 older, 0 older, 1 failed', { shows })).toBe(
      '2 older; 0 older; 1 failed -> unmet',
    )
    expect(story('ppf', { absence: 'any' }, '2 older, 0 older', { shows })).toBe('2 older; 0 older -> older')
  })
  test('the silent are given up, and the others asked to do without them', () => {
    expect(story('ppp', {}, '0 missing, 1 missing, silence')).toBe('0 missing; 1 missing; silence -> absent')
    expect(story('ppp', {}, '0 newer, silence, 3 newer, 1 older', { spares: ['n7'] })).toBe(
      '0 newer; silence -> ask n7/1; 3 newer -> newer; 1 older',
    )
    expect(
      story('ppp', {}, '0 missing, silence, 3 missing, 4 missing, timeout', { spares: ['n7', 'n8'] }),
    ).toBe('0 missing; silence -> ask n7/1 -> ask n8/2; 3 missing; 4 missing; timeout -> timeout')
    expect(
      story('ppp', {}, '0 missing, silence, 3 missing, 4 missing, 2 newer', { spares: ['n7', 'n8'] }),
    ).toBe('0 missing; silence -> ask n7/1 -> ask n8/2; 3 missing; 4 missing; 2 newer -> newer')
    expect(story('ppp', {}, '0 newer, 1 missing, silence', { repair: true })).toBe(
      '0 newer; 1 missing; silence -> newer -> repair 1',
    )
    expect(story('ppp', { sloppy: false }, '0 newer, silence, 1 newer', { spares: ['n7'] })).toBe(
      '0 newer; silence; 1 newer -> newer',
    )
  })
  test('where absence cannot be told, those are asked that stand in for the dead', () => {
    expect(story('ppf', {}, '0 missing, 2 missing, 1 failed, 3 older', { spares: ['n7'] })).toBe(
      '0 missing; 2 missing; 1 failed -> ask n7/1; 3 older -> older -> repair 0',
    )
    expect(story('ppp', {}, '0 missing, 1 missing, 2 failed')).toBe(
      '0 missing; 1 missing; 2 failed -> absent',
    )
  })
  test('when time is over, r primaries must have none', () => {
    expect(story('ppp', {}, '0 missing, 1 missing, timeout')).toBe('0 missing; 1 missing; timeout -> absent')
    expect(story('ppf', {}, '0 missing, 2 missing, timeout')).toBe('0 missing; 2 missing; timeout -> timeout')
  })
  test('time over after the answer: those that were heard are repaired', () => {
    expect(story('ppp', {}, '0 newer, 1 older, timeout')).toBe(
      '0 newer; 1 older -> newer; timeout -> repair 1',
    )
  })
  test('without notfoundOk nothing counts but a record', () => {
    const quorum = { notfoundOk: false, r: 1 }
    expect(story('ppp', quorum, '0 missing, 1 missing, 2 newer')).toBe(
      '0 missing; 1 missing; 2 newer -> newer -> repair 0 -> repair 1',
    )
    expect(story('ppp', quorum, '0 missing, 1 missing, 2 missing')).toBe(
      '0 missing; 1 missing; 2 missing -> absent',
    )
    expect(story('ppp', { ...quorum, basicQuorum: true }, '0 missing, 1 missing')).toBe(
      '0 missing; 1 missing -> absent',
    )
    expect(story('ppp', { ...quorum, r: 2 }, '0 newer, 1 missing, 2 missing')).toBe(
      '0 newer; 1 missing; 2 missing -> unmet -> repair 1 -> repair 2',
    )
  })
  test('a corrupt replica is no evidence, and is repaired', () => {
    expect(story('ppp', {}, '0 corrupt, 1 missing, 2 failed')).toBe('0 corrupt; 1 missing; 2 failed -> unmet')
    expect(story('ppp', {}, '0 corrupt, 1 newer, 2 newer')).toBe(
      '0 corrupt; 1 newer; 2 newer -> newer -> repair 0',
    )
  })
  test('pr counts primaries only', () => {
    expect(story('ppf', { pr: 2 }, '2 newer, 0 newer, 1 failed')).toBe('2 newer; 0 newer; 1 failed -> unmet')
  })
  test('basicQuorum gives up when a majority fails', () => {
    expect(story('ppp', { r: 1, basicQuorum: true }, '0 failed, 1 failed')).toBe(
      '0 failed; 1 failed -> unmet',
    )
    expect(story('ppp', { r: 1 }, '0 failed, 1 failed')).toBe('0 failed; 1 failed')
  })
  const spares = ['n7', 'n8']
  test('where r cannot be met any more, spares stand in for those that turned out to be dead', () => {
    expect(story('ppp', {}, '0 failed, 1 failed, 3 newer, 2 older, 4 missing', { spares })).toBe(
      '0 failed; 1 failed -> ask n7/0 -> ask n8/1; 3 newer; 2 older -> newer; 4 missing -> repair 2',
    )
  })
  test('while r can be met, nobody else is asked', () => {
    expect(story('ppp', {}, '0 failed, 1 newer, 2 newer', { spares })).toBe(
      '0 failed; 1 newer; 2 newer -> newer',
    )
    expect(story('ppp', { r: 1 }, '0 failed, 1 failed', { spares })).toBe('0 failed; 1 failed')
  })
  test('nobody stands in for one that is busy, in a strict read, or where primaries are wanted', () => {
    expect(story('ppp', {}, '0 busy, 1 busy', { spares })).toBe('0 busy; 1 busy -> unmet')
    expect(story('ppp', { r: 3 }, '0 busy', { spares })).toBe('0 busy -> unmet')
    expect(story('ppp', { sloppy: false }, '0 failed, 1 failed', { spares })).toBe(
      '0 failed; 1 failed -> unmet',
    )
    expect(story('ppp', { pr: 2 }, '0 failed, 1 failed', { spares })).toBe('0 failed; 1 failed -> unmet')
  })
  test('a spare that is dead too is replaced, until none is left', () => {
    const all = ['n7', 'n8', 'n9']
    expect(story('ppp', { r: 3 }, '1 failed, 3 failed, 4 failed, 5 missing', { spares: all })).toBe(
      '1 failed -> ask n7/1; 3 failed -> ask n8/1; 4 failed -> ask n9/1; 5 missing',
    )
    expect(story('ppp', {}, '0 failed, 1 failed, 3 failed, 4 failed', { spares })).toBe(
      '0 failed; 1 failed -> ask n7/0 -> ask n8/1; 3 failed; 4 failed -> unmet',
    )
  })
  test('without notfoundOk and with basicQuorum a spare counts as the one that it stands in for', () => {
    const quorum = { notfoundOk: false, r: 3, absence: 'any' } as const
    expect(story('ppp', quorum, '0 missing, 1 missing, 2 failed, 3 missing', { spares })).toBe(
      '0 missing; 1 missing; 2 failed -> ask n7/2; 3 missing -> absent',
    )
    expect(story('ppp', { r: 1, basicQuorum: true }, '0 failed, 1 failed, 2 newer', { spares })).toBe(
      '0 failed; 1 failed -> ask n7/0 -> ask n8/1; 2 newer -> newer',
    )
  })
  test('fallbacks are never repaired', () => {
    expect(story('pff', {}, '0 newer, 1 missing, 2 older')).toBe('0 newer; 1 missing -> newer; 2 older')
  })
})

describe('every order of every answer of three replicas', () => {
  const ANSWERS: readonly Answer[] = ['older', 'newer', 'beside', 'missing', 'corrupt', 'failed']
  const QUORUMS = [1, 2, 3].flatMap((r) =>
    [0, 1, 2].flatMap((pr) =>
      [true, false].flatMap((notfoundOk) =>
        [true, false].flatMap((basicQuorum) =>
          (['primaries', 'any'] as const).map((absence) =>
            quorumOf({ r, pr, notfoundOk, basicQuorum, absence }),
          ),
        ),
      ),
    ),
  )
  // Replicas of one role are alike, and all answers of each are tried: what matters is when the odd one comes.
  const ORDERS: Record<string, number[][]> = {
    ppp: [[0, 1, 2]],
    ppf: [
      [0, 1, 2],
      [0, 2, 1],
      [2, 0, 1],
    ],
    pff: [
      [0, 1, 2],
      [1, 0, 2],
      [1, 2, 0],
    ],
  }

  test.each(Object.entries(ORDERS))('%s', (roles, orders) => {
    const list = targets(roles)
    for (const quorum of QUORUMS) {
      for (const [a, b, c] of triples(ANSWERS)) {
        for (const order of orders) {
          for (let silent = 0; silent <= 3; silent++) {
            check(list, quorum, { answers: [a, b, c], order, silent, isLate: false })
            if (silent > 0) check(list, quorum, { answers: [a, b, c], order, silent, isLate: true })
          }
        }
      }
    }
  })
})

interface Run {
  readonly answers: readonly Answer[]
  readonly order: readonly number[]
  /** How many are given up before they answer. */
  readonly silent: number
  /** Whether these answer all the same, before the time is over. */
  readonly isLate: boolean
}

/** States what must hold, counted afresh from the answers so far, after every event. */
function check(
  list: readonly PreferenceEntry[],
  quorum: ReadQuorum,
  { answers, order, silent, isLate }: Run,
): void {
  const shows = (found: StoredRecord) => !recordsEqual(found, older)
  const plan = { targets: list, quorum, policy, repair: false, shows, spareFor: () => undefined }
  const machine = new GetMachine(plan)
  const heard: number[] = []
  let decided: GetEffect | undefined
  const repaired: number[] = []
  const fail = (why: string) =>
    new Error(`${why}: ${JSON.stringify({ list, quorum, answers, order, silent, isLate })}`)

  const take = (event: GetEvent) => {
    for (const effect of machine.step(event)) {
      if (effect.kind === 'repair') repaired.push(effect.at)
      else if (decided !== undefined) throw fail('decided twice')
      else {
        decided = effect
        justify(effect, event.kind === 'timeout')
      }
    }
  }
  const count = (...kinds: Answer[]) => heard.filter((at) => kinds.includes(answers[at] ?? 'failed')).length
  const primariesOf = (...kinds: Answer[]) =>
    heard.filter((at) => list[at]?.role === 'primary' && kinds.includes(answers[at] ?? 'failed')).length
  const FOUND: Answer[] = ['older', 'newer', 'beside']
  const GOOD: Answer[] = quorum.notfoundOk ? [...FOUND, 'missing'] : FOUND
  const allPrimaries = list.filter(({ role }) => role === 'primary').length
  const merged = () =>
    heard
      .map((at) => RECORDS[answers[at] ?? 'failed'])
      .filter((found) => found !== undefined)
      .reduce<StoredRecord | undefined>((all, one) => (all ? mergeRecords(policy, all, one) : one), undefined)

  let isSilent = false
  const isEvidenced = () => quorum.absence === 'any' || primariesOf(...FOUND, 'missing') >= quorum.r
  const justify = (effect: GetEffect, timedOut: boolean) => {
    const met = count(...GOOD) >= quorum.r && primariesOf(...GOOD) >= quorum.pr
    if (effect.kind === 'answer' && effect.record !== undefined) {
      const expected = merged()
      if (!met) throw fail('answered below its quorum')
      if (expected === undefined || !recordsEqual(effect.record, expected))
        throw fail('answered something else')
      if (!shows(expected) && !isEvidenced()) throw fail('hides what primaries may have')
    } else if (effect.kind === 'answer') {
      if (count(...FOUND) > 0) throw fail('absent, though it was found')
      const everyPrimary = primariesOf(...ANY) === allPrimaries
      const majority = quorum.basicQuorum && primariesOf('missing') >= 2
      const late = timedOut && primariesOf('missing') >= quorum.r
      if (!everyPrimary && !majority && !late && !isSilent)
        throw fail('absent, though a primary may know better')
      if (!isEvidenced()) throw fail('absent, though primaries may have it')
      if (!met && count('failed', 'corrupt') > 0) throw fail('absent on the word of too few')
    } else if (!timedOut) {
      const waiting = list.length - heard.length
      const waitingPrimaries = allPrimaries - primariesOf(...ANY)
      const possible =
        count(...GOOD) + waiting >= quorum.r && primariesOf(...GOOD) + waitingPrimaries >= quorum.pr
      const against = count('failed', 'corrupt') + (quorum.notfoundOk ? 0 : count('missing'))
      const isDamaged = count('corrupt') > 0 && count(...FOUND, 'failed') === 0
      if (isDamaged && waiting > 0 && !isSilent) throw fail('never asked whether all are damaged')
      if (possible && waiting > 0 && !(quorum.basicQuorum && against >= 2)) throw fail('gave up too early')
      if (waiting === 0 && possible && isEvidenced()) throw fail('has its answer and fails')
    }
  }
  const ANY: Answer[] = [...FOUND, 'missing', 'corrupt', 'failed']

  const hear = (at: number) => {
    heard.push(at)
    take(eventOf(answers[at] ?? 'failed', at))
    const met = count(...GOOD) >= quorum.r && primariesOf(...GOOD) >= quorum.pr
    const found = merged()
    if (decided !== undefined || !met || found === undefined) return
    if (shows(found) || isEvidenced()) throw fail('has its answer and holds it back')
  }
  for (const at of order.slice(0, order.length - silent)) hear(at)
  if (silent === 0 && decided === undefined) throw fail('never decided')
  isSilent = silent > 0
  if (isSilent) take({ kind: 'silence' })
  const isSure = quorum.notfoundOk && merged() === undefined && isEvidenced()
  if (isSure && count('missing') >= quorum.r && primariesOf('missing') >= quorum.pr && decided === undefined)
    throw fail('waits for the silent')
  if (isLate) for (const at of order.slice(order.length - silent)) hear(at)
  take({ kind: 'timeout' })
  if (decided === undefined) throw fail('never decided')

  const final = merged()
  const behind = heard.filter((at) => {
    const answer = answers[at] ?? 'failed'
    if (final === undefined || answer === 'failed' || list[at]?.role !== 'primary') return false
    const held = RECORDS[answer]
    return held === undefined || !recordsEqual(held, final)
  })
  if (behind.sort().join() !== repaired.sort().join())
    throw fail(`repaired ${repaired}, behind are ${behind}`)
}

function triples<T>(items: readonly T[]): [T, T, T][] {
  return items.flatMap((a) => items.flatMap((b) => items.map((c): [T, T, T] => [a, b, c])))
}
