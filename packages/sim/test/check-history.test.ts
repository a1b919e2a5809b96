import { describe, expect, test } from 'vitest'
import {
  checkConvergence,
  checkListing,
  checkReads,
  checkSets,
  checkWrites,
  type Operation,
  type Outcome,
} from '../src/index.ts'

/**
 * One operation a line: kind, key, value (- for none), outcome, and the places of its beginning and its end in the order
 * of events (an end of _ never came).
 */
function story(text: string): Operation[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [kind = '', key = '', value, outcome, began, ended] = line.trim().split(/ +/)
      return {
        client: 'c1',
        kind: kind as Operation['kind'],
        key,
        value: value === '-' ? undefined : value,
        outcome: outcome as Outcome,
        began: Number(began),
        ended: ended === '_' ? Number.POSITIVE_INFINITY : Number(ended),
        beganMs: Number(began),
        endedMs: ended === '_' ? undefined : Number(ended),
      }
    })
}

const rules = (violations: readonly { rule: string }[]) => violations.map(({ rule }) => rule)

describe('no acknowledged write is lost', () => {
  const twoInTurn = `
    put k 1 ok 0 1
    put k 2 ok 2 3`
  const twoAtOnce = `
    put k 1 ok 0 3
    put k 2 ok 1 2`
  const lateUnknown = `
    put k 1 unknown 0 1
    put k 2 ok 2 3`
  const deleted = `
    put k 1 ok 0 1
    delete k - ok 2 3`
  const failed = `
    put k 1 ok 0 1
    put k 2 fail 2 3`
  const unfinished = `
    put k 1 ok 0 1
    delete k - unknown 2 _`
  const putAfterDelete = `
    delete k - ok 0 1
    put k 1 ok 2 3`
  const onlyFailed = 'put k 1 fail 0 1'

  test.each<[string, string, (string | undefined)[]]>([
    ['the later of two in turn', twoInTurn, ['2']],
    ['either of two at once', twoAtOnce, ['1', '2']],
    ['the later, or an earlier one of unknown outcome', lateUnknown, ['1', '2']],
    ['nothing after a deletion', deleted, [undefined]],
    ['the earlier, if the later certainly failed', failed, ['1']],
    ['either, while a deletion is unfinished', unfinished, ['1', undefined]],
    ['what was put after a deletion', putAfterDelete, ['1']],
    ['nothing, if nothing succeeded', onlyFailed, [undefined]],
  ])('%s', (_, text, allowed) => {
    const operations = story(text)
    for (const final of [undefined, '1', '2', '3']) {
      const written = final === undefined || operations.some(({ value }) => value === final)
      const expected = allowed.includes(final) ? [] : [written ? 'lost-write' : 'never-written']
      expect([final, rules(checkWrites(operations, new Map([['k', final]])))]).toEqual([final, expected])
    }
  })

  test('says what was found and what speaks against it', () => {
    expect(checkWrites(story(twoInTurn), new Map([['k', '1']]))).toEqual([
      {
        rule: 'lost-write',
        key: 'k',
        message:
          'it holds 1, which is from c1 put k = 1 (ok, 0.000 to 1.000 ms); acknowledged: ' +
          'c1 put k = 1 (ok, 0.000 to 1.000 ms); c1 put k = 2 (ok, 2.000 to 3.000 ms)',
      },
    ])
  })

  test('needs a final read of every key, and no others', () => {
    expect(rules(checkWrites(story(twoInTurn), new Map()))).toEqual(['final-read'])
    const finals = new Map([
      ['k', '2'],
      ['other', '7'],
      ['absent', undefined],
    ])
    expect(rules(checkWrites(story(twoInTurn), finals))).toEqual(['never-written'])
  })

  test('lets a write survive one that may have missed it, if told so', () => {
    const finals = new Map([['k', '1']])
    expect(checkWrites(story(twoInTurn), finals, { mayMiss: () => true })).toEqual([])
  })

  test('judges each key alone', () => {
    const operations = story(`
      put a 1 ok 0 1
      put b 2 ok 2 3`)
    const swapped = new Map([
      ['a', '2'],
      ['b', undefined],
    ])
    expect(checkWrites(operations, swapped).map(({ rule, key }) => [rule, key])).toEqual([
      ['never-written', 'a'],
      ['lost-write', 'b'],
    ])
  })
})

describe('every read gives something that was written', () => {
  test.each([
    ['a value written before', 'put k 1 ok 0 1\nget k 1 ok 2 3', []],
    ['a value being written', 'put k 1 unknown 0 9\nget k 1 ok 2 3', []],
    ['nothing', 'put k 1 ok 0 1\nget k - ok 2 3', []],
    ['an old value', 'put k 1 ok 0 1\nput k 2 ok 2 3\nget k 1 ok 4 5', []],
    ['a value of no write', 'put k 1 ok 0 1\nget k 2 ok 2 3', ['phantom-read']],
    ['a value of another key', 'put j 1 ok 0 1\nget k 1 ok 2 3', ['phantom-read']],
    ['a value that certainly failed', 'put k 1 fail 0 1\nget k 1 ok 2 3', ['phantom-read']],
    ['a value of the future', 'get k 1 ok 0 1\nput k 1 ok 2 3', ['phantom-read']],
    ['something, but the read failed', 'get k 1 unknown 0 1', []],
  ])('%s', (_, text, expected) => {
    expect(rules(checkReads(story(text)))).toEqual(expected)
  })
})

describe('every acknowledged element is in its set', () => {
  const operations = story(`
    add s 1 ok 0 1
    add s 2 unknown 0 1
    add s 3 fail 0 1`)
  test.each([
    [['1'], []],
    [['1', '2'], []],
    [['2'], ['lost-element']],
    [['1', '3'], ['phantom-element']],
    [['1', '4'], ['phantom-element']],
    [[], ['lost-element']],
  ])('%j', (elements, expected) => {
    expect(rules(checkSets(operations, new Map([['s', new Set(elements)]])))).toEqual(expected)
  })

  test('an element in the wrong set is lost in one and a phantom in the other', () => {
    const finals = new Map([['other', new Set(['1'])]])
    expect(rules(checkSets(operations, finals))).toEqual(['lost-element', 'phantom-element'])
  })
})

describe('a listing is true', () => {
  const operations = story(`
    put a 1 ok 0 1
    put b 2 ok 0 1
    put c 3 unknown 0 1
    put d 4 ok 0 1
    delete d - ok 2 3`)
  const finals = new Map([
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
    ['d', undefined],
  ])
  test.each([
    [['a', 'b', 'c'], []],
    [['a', 'b'], []],
    [['a', 'c'], ['b']],
    [['a', 'b', 'd'], ['d']],
    [['a', 'b', 'x'], ['x']],
    [['b', 'a'], ['a']],
    [['a', 'a', 'b'], ['a']],
  ])('%j', (listed, blamed) => {
    const violations = checkListing(operations, { listed, finals })
    expect(violations.map(({ key }) => key)).toEqual(blamed)
  })

  test('orders keys by their bytes in UTF-8, not by their UTF-16 units', () => {
    const [high, low] = ['\u{10000}', '\uffff']
    const both = story(`
      put ${high} 1 ok 0 1
      put ${low} 2 ok 0 1`)
    const read = new Map([
      [high, '1'],
      [low, '2'],
    ])
    expect(checkListing(both, { listed: [low, high], finals: read })).toEqual([])
    expect(checkListing(both, { listed: [high, low], finals: read })).toHaveLength(1)
  })
})

test('replicas converge when all of them hold the same', () => {
  const same = new Map([
    ['n1', 'a'],
    ['n2', 'a'],
  ])
  const missing = new Map([
    ['n1', 'a'],
    ['n2', undefined],
  ])
  const different = new Map([
    ['n1', 'a'],
    ['n2', 'b'],
  ])
  expect(checkConvergence(new Map([['k', same]]))).toEqual([])
  expect(
    checkConvergence(
      new Map([
        ['j', missing],
        ['k', same],
        ['l', different],
      ]),
    ),
  ).toEqual([
    { rule: 'convergence', key: 'j', message: 'n1 holds a, n2 holds nothing' },
    { rule: 'convergence', key: 'l', message: 'n1 holds a, n2 holds b' },
  ])
})
