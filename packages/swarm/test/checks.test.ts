import type { Operation } from '@atoll/sim'
import { describe, expect, test } from 'vitest'
import { checkAbsence, checkBucketThere } from '../src/check-absence.ts'
import { absencesOf, checkFreshness, checkSetFreshness } from '../src/check-freshness.ts'
import { checkRegisterFreshness, checkRegisters } from '../src/check-registers.ts'

/** `put k = v ok 1-3`: what, of what, what came of it, and from when to when. */
function operation(line: string): Operation {
  const [, kind, key, value, outcome, from, to] =
    /^(\w+) (\w+)(?: = ([\w ]*))? (ok|fail|unknown) (\d+)-(\d+)$/.exec(line) ?? []
  const [began, ended] = [Number(from), Number(to)]
  const times = { began, ended, beganMs: began, endedMs: ended }
  return { client: 'c1', kind, key, value, outcome, ...times } as Operation
}

const stamp = (line: string, timestampMs: number) => ({ operation: operation(line), timestampMs })

const history = (...lines: string[]) => lines.map(operation)
const rules = (violations: readonly { rule: string; key: string }[]) =>
  violations.map(({ rule, key }) => `${rule} ${key}`)

describe('freshness', () => {
  const stale = ['stale-read k']

  test('a read sees what was acknowledged before, or what came after', () => {
    const writes = ['put k = a ok 1-2', 'put k = b ok 3-4', 'put k = c unknown 5-9']
    expect(rules(checkFreshness(history(...writes, 'get k = b ok 5-6')))).toEqual([])
    expect(rules(checkFreshness(history(...writes, 'get k = c ok 6-7')))).toEqual([])
    expect(rules(checkFreshness(history(...writes, 'get k = a ok 5-6')))).toEqual(stale)
    expect(rules(checkFreshness(history(...writes, 'get k ok 5-6')))).toEqual(stale)
    expect(rules(checkFreshness(history(...writes, 'get k = a fail 5-6')))).toEqual([])
  })

  test('a write under way may be seen or not', () => {
    const writes = ['put k = a ok 1-2', 'put k = b ok 3-8']
    for (const value of ['a', 'b'])
      expect(rules(checkFreshness(history(...writes, `get k = ${value} ok 4-5`)))).toEqual([])
    expect(rules(checkFreshness(history(...writes, 'get k ok 4-5')))).toEqual(stale)
    expect(rules(checkFreshness(history(...writes, 'delete k unknown 3-9', 'get k ok 4-5')))).toEqual([])
  })

  test('a listing leaves nothing out', () => {
    const writes = history(
      'put o1 = a ok 1-2',
      'put o2 = b ok 1-3',
      'delete o2 ok 4-5',
      'list reef = o2 ok 6-7',
    )
    expect(rules(checkFreshness([...writes, ...absencesOf(writes, ['o1', 'o2', 'o3'])]))).toEqual([
      'stale-read o1',
    ])
  })

  test('a set has every element that was added before', () => {
    const adds = ['add s = a ok 1-2', 'add s = b ok 3-6', 'add s = c unknown 1-2']
    expect(rules(checkSetFreshness(history(...adds, 'get s = a ok 4-5')))).toEqual([])
    expect(rules(checkSetFreshness(history(...adds, 'get s = a c ok 7-8')))).toEqual(['stale-set s'])
    expect(rules(checkSetFreshness(history(...adds, 'get s =  ok 4-5')))).toEqual(['stale-set s'])
  })
})

describe('absence', () => {
  const said = ['false-absence k']
  /** Of the writes, so many are on two primaries of three, from the first on. */
  const check = (operations: readonly Operation[], { firm = 1, skewed = false } = {}) => {
    const confirmed = new Map(
      operations
        .filter(({ kind, outcome }) => kind === 'put' && outcome === 'ok')
        .map((write, at) => [write, { primaries: at < firm ? 2 : 1, needed: 2 }]),
    )
    return rules(checkAbsence({ operations, confirmed, skewed }))
  }

  test('what is on so many primaries that a reader meets one is not said to be absent', () => {
    const read = ['put k = a ok 1-2', 'get k ok 3-4']
    expect(check(history(...read))).toEqual(said)
    expect(check(history(...read), { firm: 0 })).toEqual([])
    expect(check(history('put k = a ok 1-2', 'get k = a ok 3-4'))).toEqual([])
    expect(check(history('put k = a ok 1-4', 'get k ok 3-5'))).toEqual([])
    expect(check(history('put k = a ok 1-2', 'get k fail 3-4'))).toEqual([])
  })

  test('a deletion makes it absent, unless it was over before the write', () => {
    for (const deletion of ['delete k ok 3-4', 'delete k unknown 3-4', 'delete k ok 1-3', 'delete k ok 5-8'])
      expect(check(history('put k = a ok 1-2', deletion, 'get k ok 6-7')), deletion).toEqual([])
    const late = history('delete k ok 1-2', 'put k = a ok 3-4', 'get k ok 5-6')
    expect(check(late)).toEqual(said)
    expect(check(late, { skewed: true })).toEqual([])
    expect(check(history('put k = a ok 1-2', 'delete k fail 3-4', 'get k ok 5-6'))).toEqual(said)
  })

  test('a deletion that says that there was nothing is judged as a read, and does not excuse itself', () => {
    const denied = (...lines: string[]) => {
      const operations = history(...lines, 'delete k ok 7-8')
      const last = operations.slice(-1)
      return [...operations, ...last.map((deletion): Operation => ({ ...deletion, kind: 'get' }))]
    }
    expect(check(denied('put k = a ok 1-2'))).toEqual(said)
    expect(rules(checkFreshness(denied('put k = a ok 1-2')))).toEqual(['stale-read k'])
    expect(check(denied('put k = a ok 1-2'), { firm: 0 })).toEqual([])
    for (const before of [['put k = a ok 1-9'], ['put k = a ok 1-2', 'delete k ok 3-9'], []]) {
      expect(check(denied(...before))).toEqual([])
      expect(rules(checkFreshness(denied(...before)))).toEqual([])
    }
  })

  test('a listing that leaves it out says that it is absent', () => {
    const operations = history('put o1 = a ok 1-2', 'put o2 = b ok 1-2', 'list reef = o2 ok 3-4')
    const all = [...operations, ...absencesOf(operations, ['o1', 'o2', 'o3'])]
    expect(check(all, { firm: 2 })).toEqual(['false-absence o1'])
    expect(check(all, { firm: 0 })).toEqual([])
  })
})

test('the bucket that nobody deletes is there', () => {
  expect(rules(checkBucketThere([]))).toEqual([])
  expect(rules(checkBucketThere(history('put o1 = a fail 1-2')))).toEqual(['false-absence o1'])
})

describe('registers', () => {
  const operations = history(
    'put r = a ok 1-2',
    'put r = b ok 3-4',
    'put r = c unknown 5-6',
    'put r = d fail 7-8',
  )
  const stamps = [stamp('put r = a ok 1-2', 20), stamp('put r = b ok 3-4', 10)]
  const check = (value: string | undefined, timestampMs: number, skewed = false) =>
    rules(checkRegisters({ operations, stamps, finals: new Map([['r', { value, timestampMs }]]), skewed }))

  test('the latest by its time stays, or one of unknown outcome', () => {
    expect(check('a', 20)).toEqual([])
    expect(check('c', 21)).toEqual([])
  })

  test.each([
    ['an older one', 'b', 10],
    ['one that failed', 'd', 30],
    ['nothing', undefined, 0],
    ['the right one with the time of an older', 'a', 10],
  ])('%s may not be there in the end', (_, value, timestampMs) => {
    expect(check(value, timestampMs)).toEqual(['lost-register r'])
  })

  test('where clocks are wrong, an acknowledged write may have a second, later time', () => {
    expect(check('b', 25)).toEqual(['lost-register r'])
    expect(check('b', 25, true)).toEqual([])
    expect(check('b', 15, true)).toEqual(['lost-register r'])
  })

  test('a read is not older, by its time, than what was acknowledged before', () => {
    const written = [
      stamp('put r = a ok 1-2', 20),
      stamp('put r = b ok 3-4', 10),
      stamp('delete q ok 1-2', 99),
    ]
    const reading = (line: string, timestampMs: number) =>
      rules(checkRegisterFreshness([...written, stamp(line, timestampMs)]))
    expect(reading('get r = a ok 5-6', 20)).toEqual([])
    expect(reading('get r = c ok 5-6', 21)).toEqual([])
    expect(reading('get r = b ok 5-6', 10)).toEqual(['stale-register r'])
    expect(reading('get r ok 5-6', 0)).toEqual(['stale-register r'])
    expect(reading('get q ok 5-6', 0)).toEqual(['stale-register q'])
    // What is acknowledged while a read is under way it may miss.
    expect(reading('get q ok 2-6', 99)).toEqual([])
    expect(rules(checkRegisterFreshness([stamp('put r = a ok 1-6', 20), stamp('get r ok 5-7', 0)]))).toEqual(
      [],
    )
  })
})
