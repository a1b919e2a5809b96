import { type StoredRecord, writeOnceRecord } from '@atoll/causality'
import { AtollError, EMPTY_BYTES } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import {
  type NearestEffect,
  type NearestEvent,
  NearestMachine,
  type NearestPlan,
} from '../src/nearest-machine.ts'
import { record, targets } from './machine-kit.ts'

const block = record({ a: 1 })
const busy = new AtollError('ATOLL_OVERLOADED', 'busy')

function once({ tombstone }: { tombstone: boolean }): StoredRecord {
  const content = { value: EMPTY_BYTES, metadata: new Map(), tombstone, expiresAtMs: undefined, indexes: [] }
  return writeOnceRecord(content, 0, new Uint8Array(16))
}

type Answer = 'found' | 'missing' | 'corrupt' | 'refused' | 'failed'

function eventOf(answer: Answer, at: number): NearestEvent {
  if (answer === 'found') return { kind: 'found', at, record: block }
  return answer === 'failed' ? { kind: 'failed', at, error: busy } : { kind: answer, at }
}

function planOf(roles: string, further: readonly string[] = []): NearestPlan {
  return {
    targets: targets(roles),
    quorum: { n: 3, r: 2, absence: 'primaries' },
    repair: false,
    known: false,
    isSomeoneAway: () => false,
    further: (lost) =>
      lost.length === 0
        ? []
        : further.map((node) => ({ partition: 0, node, role: 'fallback' as const, epoch: 0 })),
  }
}

test('that an older copy has none proves nothing, and what it has is taken', () => {
  const plan = planOf('ppp')
  const behind = plan.targets.map((entry, at) => (at === 0 ? { ...entry, isBehind: true as const } : entry))
  const older = { ...plan, targets: behind }
  expect(story(older, '0 found')).toContain('found')
  expect(story(older, '0 missing, 1 missing, 2 failed')).toMatch(/2 failed: unmet$/)
  expect(story(older, '0 missing, 1 missing, 2 missing')).toMatch(/2 missing: absent$/)
})

describe('what is known to have been written', () => {
  const known = { ...planOf('ppp', ['n7', 'n8']), known: true }

  test('is looked for at everybody who may hold it, also where all primaries have none', () => {
    const none = '0 missing, 1 missing, 2 missing'
    expect(story(planOf('ppp', ['n7', 'n8']), none)).toMatch(/2 missing: absent$/)
    expect(story(known, none)).toMatch(/2 missing: ask n7, ask n8$/)
    expect(story(known, `${none}, 3 missing, 4 found`)).toMatch(/4 found: found, heal n0, heal n1, heal n2$/)
    expect(story(known, `${none}, 3 missing, 4 missing`)).toMatch(/4 missing: absent$/)
  })

  test('is not lost while one of them was not heard', () => {
    const none = '0 missing, 1 missing, 2 missing'
    expect(story(known, '0 missing, 1 missing, 2 failed, 3 missing, 4 missing')).toMatch(/unmet$/)
    expect(story(known, `${none}, 3 missing, 4 failed`)).toMatch(/4 failed: unmet$/)
    expect(story(known, `${none}, 3 missing, silence, timeout`)).toMatch(/timeout$/)
    const away = { ...known, isSomeoneAway: () => true }
    expect(story(away, `${none}, 3 missing, 4 missing`)).toMatch(/4 missing: unmet$/)
  })

  test('is corrupt only if none of them has it whole', () => {
    const corruptAfter = (plan: NearestPlan, last: Answer) => {
      const machine = new NearestMachine(plan)
      machine.step({ kind: 'start' })
      for (const [at, answer] of (['corrupt', 'missing', 'missing', 'missing', last] as const).entries())
        machine.step(eventOf(answer, at))
      return machine.isCorrupt()
    }
    expect(corruptAfter(known, 'missing')).toBe(true)
    expect(corruptAfter(known, 'failed')).toBe(false)
    expect(corruptAfter({ ...known, isSomeoneAway: () => true }, 'missing')).toBe(false)
  })
})

function tell(effect: NearestEffect): string {
  if (effect.kind === 'ask') return `ask ${effect.target.node}`
  if (effect.kind === 'answer') return effect.record === undefined ? 'absent' : 'found'
  if (effect.kind === 'repair') return `heal ${effect.target.node}`
  return effect.kind === 'wait' ? 'wait' : effect.timedOut ? 'timeout' : 'unmet'
}

function story(plan: NearestPlan, lines: string): string {
  const machine = new NearestMachine(plan)
  return ['start', ...lines.split(', ')]
    .map((line) => {
      const [at, answer] = line.split(' ')
      const event: NearestEvent =
        line === 'start' || line === 'hedge' || line === 'timeout' || line === 'silence'
          ? { kind: line }
          : eventOf(answer as Answer, Number(at))
      return [line, machine.step(event).map(tell).join(', ')].filter((text) => text !== '').join(': ')
    })
    .join('; ')
}

describe('stories', () => {
  test('a repairing read asks everyone at once, and answers when all were heard', () => {
    const plan = { ...planOf('ppp', ['n7']), repair: true }
    expect(story(plan, '1 found, 0 missing, 2 refused')).toBe(
      'start: ask n0, ask n1, ask n2; 1 found; 0 missing; 2 refused: found, heal n0, heal n2',
    )
    expect(story(plan, '1 found, 0 missing, timeout')).toBe(
      'start: ask n0, ask n1, ask n2; 1 found; 0 missing; timeout: found, heal n0',
    )
    expect(story(plan, '0 missing, 1 missing, 2 failed, 3 found')).toBe(
      'start: ask n0, ask n1, ask n2; 0 missing; 1 missing; 2 failed: ask n7; 3 found: found, heal n0, heal n1',
    )
  })
  test('a repairing read that finds a value beside a tombstone spreads the tombstone', () => {
    const value = once({ tombstone: false })
    const gone = once({ tombstone: true })
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
    ]) {
      const machine = new NearestMachine({ ...planOf('ppp'), repair: true })
      machine.step({ kind: 'start' })
      const held = [value, gone, gone]
      const effects = order.flatMap((at) => machine.step({ kind: 'found', at, record: held[at]! }))
      expect(effects).toEqual([
        { kind: 'answer', record: gone },
        { kind: 'repair', target: targets('ppp')[0], record: gone },
      ])
    }
  })
  test('the nearest has it', () => {
    expect(story(planOf('ppp'), '0 found')).toBe('start: ask n0, wait; 0 found: found')
  })
  test('a slow one is hedged, one by one, and the first answer wins', () => {
    expect(story(planOf('ppp'), 'hedge, hedge, 1 found, 0 found')).toBe(
      'start: ask n0, wait; hedge: ask n1, wait; hedge: ask n2; 1 found: found; 0 found',
    )
  })
  test('a miss asks all the others at once, and is healed', () => {
    expect(story(planOf('ppp'), '0 missing, 2 found')).toBe(
      'start: ask n0, wait; 0 missing: ask n1, ask n2; 2 found: found, heal n0',
    )
    expect(story(planOf('ppp'), '0 corrupt, 1 refused, 2 found')).toBe(
      'start: ask n0, wait; 0 corrupt: ask n1, ask n2; 1 refused; 2 found: found, heal n0, heal n1',
    )
  })
  test('a failure asks the next', () => {
    expect(story(planOf('ppp'), '0 failed, 1 found')).toBe(
      'start: ask n0, wait; 0 failed: ask n1, wait; 1 found: found',
    )
  })
  test('absent when all have none; further nodes are asked only where some are down', () => {
    expect(story(planOf('ppp', ['n7']), '0 missing, 1 missing, 2 missing')).toMatch(/2 missing: absent$/)
    expect(story(planOf('ppf', ['n7']), '0 missing, 1 missing, 2 missing, 3 missing')).toMatch(
      /2 missing: ask n7; 3 missing: absent$/,
    )
    expect(story(planOf('ppf', ['n7']), '0 missing, 1 missing, 2 missing, 3 found')).toMatch(
      /3 found: found, heal n0, heal n1$/,
    )
  })
  test("a fallback's word that it has none proves nothing, unless the reader is content with any", () => {
    expect(story(planOf('pff'), '0 missing, 1 missing, 2 missing')).toMatch(/2 missing: unmet$/)
    const any = { ...planOf('pff'), quorum: { n: 3, r: 2, absence: 'any' } as const }
    expect(story(any, '0 missing, 1 missing, 2 missing')).toMatch(/2 missing: absent$/)
  })
  test('the silent are given up, and the others asked to do without them', () => {
    expect(story(planOf('ppp', ['n7']), '0 missing, 1 missing, silence, 3 missing')).toMatch(
      /1 missing; silence: ask n7; 3 missing: absent$/,
    )
    expect(story(planOf('ppp', ['n7']), '0 missing, silence, 3 found')).toMatch(
      /silence: ask n7; 3 found: found, heal n0$/,
    )
    expect(story(planOf('ppp'), '0 missing, silence, 1 failed, 2 found')).toMatch(
      /silence; 1 failed; 2 found: found, heal n0$/,
    )
    expect(story(planOf('ppp'), '0 missing, silence, 1 missing')).toMatch(/silence; 1 missing: absent$/)
    expect(story({ ...planOf('ppp'), repair: true }, '0 found, 1 missing, silence')).toMatch(
      /1 missing; silence: found, heal n1$/,
    )
    expect(story(planOf('ppp'), 'silence, 1 failed, 2 failed, timeout')).toMatch(/timeout: timeout$/)
  })
  test('where a copy is bad, or too many are silent, nothing is known', () => {
    expect(story(planOf('ppp'), '0 missing, 1 missing, 2 corrupt')).toMatch(/2 corrupt: unmet$/)
    expect(story(planOf('ppp'), '0 failed, 1 missing, 2 failed')).toMatch(/2 failed: unmet$/)
    expect(story(planOf('ppp', ['n7', 'n8']), '0 failed, 1 missing, 2 failed, 3 missing, 4 missing')).toMatch(
      /4 missing: unmet$/,
    )
    expect(story(planOf('ppp'), '0 missing, timeout')).toMatch(/timeout: timeout$/)
  })
})

test('whatever the order of answers and hedges: one decision, the right one, and nobody is asked twice', () => {
  const ANSWERS: readonly Answer[] = ['found', 'missing', 'corrupt', 'refused', 'failed']
  let courses = 0
  explore([])
  expect(courses).toBeGreaterThan(1000)

  function explore(course: readonly ({ at: number; answer: Answer } | 'hedge')[]): void {
    const open = replay(course)
    if (open.length === 0) courses += 1
    if (open.length > 0 && course.filter((step) => step === 'hedge').length < 2) explore([...course, 'hedge'])
    for (const at of open) for (const answer of ANSWERS) explore([...course, { at, answer }])
  }

  /** Answers who still owes an answer, or nobody once it is decided. */
  function replay(course: readonly ({ at: number; answer: Answer } | 'hedge')[]): readonly number[] {
    const machine = new NearestMachine(planOf('ppf', ['n7']))
    const open = new Set<number>()
    const asked: string[] = []
    const answers: Answer[] = []
    let decision: string | undefined
    const apply = (effects: readonly NearestEffect[]) => {
      for (const effect of effects) {
        if (effect.kind === 'ask') {
          open.add(effect.at)
          asked.push(effect.target.node)
        }
        if (effect.kind === 'answer' || effect.kind === 'unmet') {
          if (decision !== undefined) throw new Error('decided twice')
          decision = tell(effect)
        }
      }
    }
    apply(machine.step({ kind: 'start' }))
    for (const step of course) {
      if (step === 'hedge') apply(machine.step({ kind: 'hedge' }))
      else {
        open.delete(step.at)
        answers.push(step.answer)
        apply(machine.step(eventOf(step.answer, step.at)))
      }
    }
    const expected = verdict()
    if (new Set(asked).size !== asked.length || decision !== expected)
      throw new Error(`asked ${asked}, ${decision} instead of ${expected}: ${JSON.stringify(course)}`)
    return decision === undefined ? [...open] : []

    function verdict(): string | undefined {
      if (answers.includes('found')) return 'found'
      if (open.size > 0) return undefined
      const bad = answers.includes('corrupt') || answers.includes('refused')
      const near = course.filter(
        (step) => step !== 'hedge' && step.at < 2 && step.answer === 'missing',
      ).length
      return !bad && near >= 2 ? 'absent' : 'unmet'
    }
  }
})
