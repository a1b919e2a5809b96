import { describe, expect, it } from 'vitest'
import {
  checkInteger,
  checkKnown,
  ERROR_CODES,
  isArgumentError,
  wrongRange,
  wrongType,
} from '../src/index.ts'
import { anotherCopy } from './another-copy.ts'

function thrownBy(check: () => unknown): unknown {
  try {
    check()
  } catch (error) {
    return error
  }
  return undefined
}

describe('an argument error', () => {
  it('is a TypeError or RangeError that says by its code and details what was wrong', () => {
    const { definite, transient } = ERROR_CODES.ATOLL_INVALID_ARGUMENT
    const facts = { code: 'ATOLL_INVALID_ARGUMENT', definite, transient, details: { argument: 'n' } }
    const [type, range] = [wrongType('n', 'must be a number'), wrongRange('n', 'must be at least 1, got 0')]
    expect(type).toBeInstanceOf(TypeError)
    expect(range).toBeInstanceOf(RangeError)
    expect({ ...type }).toEqual(facts)
    expect({ ...range }).toEqual(facts)
    expect([type.message, range.message]).toEqual(['n must be a number', 'n must be at least 1, got 0'])
    expect(range.stack).toContain('argument-error.test.ts')
  })

  it('comes of every check, and of an unknown option with the name of the option', () => {
    const errors = [
      thrownBy(() => checkInteger('n', 'x', { min: 1, max: 3 })),
      thrownBy(() => checkInteger('n', 7, { min: 1, max: 3 })),
      thrownBy(() => checkKnown('put', { lenght: 1 }, ['length'])),
      thrownBy(() => checkKnown('put', 'text', ['length'])),
    ]
    expect(errors.map((error) => isArgumentError(error) && error.details.argument)).toEqual([
      'n',
      'n',
      'lenght',
      'options of put',
    ])
  })

  it('is known when another copy of this package threw it, and is told from other errors', async () => {
    const other = await anotherCopy()
    const foreign = thrownBy(() => other.checkInteger('n', 0, { min: 1, max: 3 }))
    expect(other.isArgumentError).not.toBe(isArgumentError)
    expect(
      [foreign, new TypeError('x'), { code: 'ATOLL_INVALID_ARGUMENT' }, null].map(isArgumentError),
    ).toEqual([true, false, false, false])
  })

  it('prints with its message and code', () => {
    expect(JSON.parse(JSON.stringify(wrongType('n', 'must be a number')))).toEqual({
      name: 'TypeError',
      message: 'n must be a number',
      code: 'ATOLL_INVALID_ARGUMENT',
      definite: true,
      transient: false,
      details: { argument: 'n' },
    })
  })
})
