import { describe, expect, it } from 'vitest'
import {
  checkBoolean,
  checkBytes,
  checkDelay,
  checkInteger,
  checkKnown,
  checkMethods,
  checkName,
  checkObject,
  checkText,
  isName,
  describe as picture,
  utf8,
  wellFormed,
} from '../src/index.ts'

const limits = { min: 1, max: 3 }
/** What went wrong: the class of the error and its message. */
function refusal(check: () => unknown): string {
  try {
    check()
  } catch (error) {
    return String(error)
  }
  return 'nothing was refused'
}

describe('checks of options', () => {
  it('answer a value that is as it must be', () => {
    const bytes = utf8('abc')
    expect([1, 2, 3].map((value) => checkInteger('n', value, limits))).toEqual([1, 2, 3])
    expect(checkText('name', 'a1', /^\w+$/, 'a word')).toBe('a1')
    expect(checkBytes('key', bytes, limits)).toBe(bytes)
    checkKnown('put', { n: 1, w: undefined }, ['n', 'w'])
  })

  it.each([
    [0, 'RangeError: n must be an integer from 1 to 3, got 0'],
    [4, 'RangeError: n must be an integer from 1 to 3, got 4'],
    [1.5, 'RangeError: n must be an integer from 1 to 3, got 1.5'],
    [Number.NaN, 'RangeError: n must be an integer from 1 to 3, got NaN'],
    ['2', 'TypeError: n must be a number, got "2"'],
    [2n, 'TypeError: n must be a number, got 2n'],
    [undefined, 'TypeError: n must be a number, got undefined'],
    [null, 'TypeError: n must be a number, got null'],
  ])('refuse the number %s by its name and limits', (value, expected) => {
    expect(refusal(() => checkInteger('n', value, limits))).toBe(expected)
  })

  it('refuse texts and bytes of the wrong form', () => {
    expect(refusal(() => checkText('name', 'a b', /^\w+$/, 'a word'))).toBe(
      'RangeError: name must be a word, got "a b"',
    )
    expect(refusal(() => checkText('name', 5, /^\w+$/, 'a word'))).toBe(
      'TypeError: name must be a string, got 5',
    )
    expect(refusal(() => checkBytes('key', utf8(''), limits))).toBe(
      'RangeError: key must have 1 to 3 bytes, got 0',
    )
    expect(refusal(() => checkBytes('key', utf8('four'), limits))).toContain('got 4')
    expect(refusal(() => checkBytes('key', 'abc', limits))).toBe(
      'TypeError: key must be a Uint8Array, got "abc"',
    )
  })

  it.each(['', '.', '..', '../..', 'a/b', 'a\nb', 'a b', 'n\0', 'x'.repeat(65), 'ä'])(
    'refuse %j as a name',
    (name) => {
      expect(isName(name)).toBe(false)
      expect(refusal(() => checkName('node', name))).toContain('RangeError: node must be 1 to 64 characters')
    },
  )

  it('take what is a name', () => {
    for (const name of ['a', 'n1', '.a', '...', 'A_b-c.9', 'x'.repeat(64)]) {
      expect([isName(name), checkName('node', name)]).toEqual([true, name])
    }
    expect(refusal(() => checkName('node', 7))).toBe('TypeError: node must be a string, got 7')
  })

  it('refuse a delay that no timer keeps', () => {
    expect([-1, 0, 2 ** 31 - 1].map(checkDelay)).toEqual([-1, 0, 2 ** 31 - 1])
    for (const delay of [2 ** 31, Number.POSITIVE_INFINITY, Number.NaN]) {
      expect(refusal(() => checkDelay(delay))).toContain('RangeError: delayMs must be a number of at most')
    }
  })

  it('refuse what is no boolean or plain object', () => {
    expect(checkBoolean('repair', false)).toBe(false)
    const options = {}
    expect(checkObject('options', options)).toBe(options)
    expect(refusal(() => checkBoolean('repair', 1))).toBe('TypeError: repair must be a boolean, got 1')
    for (const value of [null, undefined, 'x', 5, [], new Map(), new Set(), utf8('x')])
      expect(refusal(() => checkObject('options', value))).toMatch(
        /^TypeError: options must be an object, got /,
      )
  })

  it('refuse what lacks a method, and name all that are needed', () => {
    const log = ['debug', 'info']
    class Logger {
      debug(): void {}
      info(): void {}
    }
    checkMethods('log', new Logger(), log)
    checkMethods(
      'log',
      Object.assign(() => {}, { debug: () => {}, info: () => {} }),
      log,
    )
    for (const [value, problem] of [
      [5, 'log must be an object with the methods debug, info, got 5'],
      [null, 'log must be an object with the methods debug, info, got null'],
      [{ debug: () => {} }, 'log.info must be a method (log needs the methods debug, info), got undefined'],
    ])
      expect(refusal(() => checkMethods('log', value, log))).toBe(`TypeError: ${problem}`)
    const noCreate = 'TypeError: transport must be an object with the method create, got "tcp"'
    expect(refusal(() => checkMethods('transport', 'tcp', ['create']))).toBe(noCreate)
  })

  it('refuse a misspelt option and name the known ones', () => {
    expect(refusal(() => checkKnown('put', { n_val: 3 }, ['n', 'w']))).toBe(
      'TypeError: put has no option "n_val"; it knows n, w',
    )
  })
})

describe('the picture of a value', () => {
  it.each([
    ['x'.repeat(81), `"${'x'.repeat(77)}…" (81 characters)`],
    [utf8('abc'), '3 bytes'],
    [() => 1, 'a function'],
    [[1], 'an array'],
    [Object.create(null), 'an object'],
    [null, 'null'],
    [Symbol('s'), 'Symbol(s)'],
  ])('is short: %#', (value, expected) => {
    expect(picture(value)).toBe(expected)
  })
})

it('gives text of which every character has a form in UTF-8', () => {
  expect(wellFormed('a\u{1f600}b')).toBe('a\u{1f600}b')
  expect(wellFormed('\ud83d \ude00 a\u{1f600}'.slice(0, -1))).toBe('\ufffd \ufffd a\ufffd')
})
