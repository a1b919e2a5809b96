import { describe, expect, expectTypeOf, it } from 'vitest'
import {
  AtollError,
  type AtollErrorCode,
  assert,
  ERROR_CODES,
  isAtollError,
  isAtollErrorCode,
  messageOf,
  wrongRange,
} from '../src/index.ts'
import { anotherCopy } from './another-copy.ts'

describe('an AtollError', () => {
  it('knows from its code whether it is definite and transient, unless told better', () => {
    expect(new AtollError('ATOLL_TIMEOUT', 'late')).toMatchObject({ definite: false, transient: true })
    expect(new AtollError('ATOLL_TIMEOUT', 'late', { definite: true })).toMatchObject({ definite: true })
    expect(new AtollError('ATOLL_TIMEOUT', 'late', { transient: false })).toMatchObject({ transient: false })
  })

  it('carries its cause and details, and has neither of its own accord', () => {
    const cause = new Error('below')
    expect(new AtollError('ATOLL_STORAGE', 'failed', { cause, details: { bytes: 5 } })).toMatchObject({
      cause,
      details: { bytes: 5 },
      name: 'AtollError',
      message: 'failed',
    })
    const bare = new AtollError('ATOLL_STORAGE', 'failed')
    expect('cause' in bare).toBe(false)
    expect(bare.details).toEqual({})
  })

  it('is told from other errors, and by its code', () => {
    const error = new AtollError('ATOLL_CLOSED', 'closed')
    expect([
      isAtollError(error),
      isAtollError(error, 'ATOLL_CLOSED'),
      isAtollError(error, 'ATOLL_RANGE'),
    ]).toEqual([true, true, false])
    expect([new Error('x'), { code: 'ATOLL_CLOSED' }, undefined].map((other) => isAtollError(other))).toEqual(
      [false, false, false],
    )
  })
})

describe('an AtollError of another copy of this package', () => {
  it('is known by its brand, and by its code', async () => {
    const other = await anotherCopy()
    const foreign = new other.AtollError('ATOLL_CLOSED', 'closed')
    expect(foreign).not.toBeInstanceOf(AtollError)
    expect([
      isAtollError(foreign),
      isAtollError(foreign, 'ATOLL_CLOSED'),
      isAtollError(foreign, 'ATOLL_RANGE'),
    ]).toEqual([true, true, false])
  })
})

describe('an AtollError as JSON', () => {
  it('has its message, code, details and causes', () => {
    const below = Object.assign(new Error('no space'), { code: 'ENOSPC' })
    const storage = new AtollError('ATOLL_STORAGE', 'the log failed', { cause: below })
    const error = new AtollError('ATOLL_CLOSED', 'closed', { cause: storage, details: { node: 'n1' } })
    expect(JSON.parse(JSON.stringify({ error }))).toEqual({
      error: {
        name: 'AtollError',
        message: 'closed',
        code: 'ATOLL_CLOSED',
        definite: true,
        transient: false,
        details: { node: 'n1' },
        cause: {
          name: 'AtollError',
          message: 'the log failed',
          code: 'ATOLL_STORAGE',
          definite: false,
          transient: false,
          details: {},
          cause: { name: 'Error', message: 'no space', code: 'ENOSPC' },
        },
      },
    })
    const cycle = new AtollError('ATOLL_CLOSED', 'closed')
    Object.assign(cycle, { cause: cycle })
    expect(JSON.stringify(cycle).match(/"cause"/g)).toHaveLength(8)
    expect(JSON.parse(JSON.stringify(new AtollError('ATOLL_CLOSED', 'c', { cause: 'why' }))).cause).toBe(
      'why',
    )
  })
})

describe('error codes', () => {
  it('are listed in order', () => {
    const codes = Object.keys(ERROR_CODES)
    expect(codes).toEqual([...codes].sort())
  })

  it('are believed only if they are known', () => {
    expect(isAtollErrorCode('ATOLL_RANGE')).toBe(true)
    for (const text of ['ATOLL_NONE', 'toString', '__proto__', '']) expect(isAtollErrorCode(text)).toBe(false)
  })

  it('of a wrong argument are none of an AtollError, by type and when it runs', () => {
    expectTypeOf<'ATOLL_INVALID_ARGUMENT'>().not.toExtend<AtollErrorCode>()
    expectTypeOf<keyof typeof ERROR_CODES>().toEqualTypeOf<AtollErrorCode | 'ATOLL_INVALID_ARGUMENT'>()
    const { code } = wrongRange('n', 'must be at least 1, got 0')
    expect(isAtollErrorCode(code)).toBe(false)
    expect(() => Reflect.construct(AtollError, [code, 'text'])).toThrow(
      'code must be a code of an AtollError',
    )
  })
})

it('an assertion says what must be true', () => {
  assert(1, 'never thrown')
  expect(() => assert(0, 'zero is false')).toThrow('assertion failed: zero is false')
})

it('the message of anything thrown is text', () => {
  expect([new Error('e'), 'text', undefined, { a: 1 }].map(messageOf)).toEqual([
    'e',
    'text',
    'undefined',
    '[object Object]',
  ])
})
