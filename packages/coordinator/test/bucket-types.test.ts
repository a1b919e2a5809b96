import { describe, expect, test } from 'vitest'
import { BucketTypes } from '../src/index.ts'
import { validateCoordinatorOptions } from '../src/options.ts'
import { quorumSize, readQuorum, writeQuorum } from '../src/quorum.ts'

describe('bucket types', () => {
  test('the default type has the defaults', () => {
    expect(new BucketTypes().get('default')).toEqual({
      n: 3,
      r: 'quorum',
      w: 'quorum',
      dw: 'quorum',
      pr: 0,
      pw: 0,
      notfoundOk: true,
      basicQuorum: false,
      sloppy: true,
      policy: { kind: 'siblings' },
    })
  })

  test('a type is created, changed in part, and listed', () => {
    const types = new BucketTypes()
    types.set('blocks', { policy: { kind: 'write-once' } })
    types.set('blocks', { n: 5, w: 4 })
    expect(types.get('blocks')).toMatchObject({ n: 5, w: 4, r: 'quorum', policy: { kind: 'write-once' } })
    expect(types.policyOf('blocks')).toEqual({ kind: 'write-once' })
    expect([...types.entries()].map(([name]) => name)).toEqual(['default', 'blocks'])
  })

  test('an unknown type is named', () => {
    expect(() => new BucketTypes().get('nope')).toThrow(new RangeError('there is no bucket type "nope"'))
  })

  test.each([
    [{ n: 0 }, /n must be an integer from 1 to 16, got 0/],
    [{ n: 17 }, /n must be an integer from 1 to 16, got 17/],
    [{ w: 4 }, /w is 4, n is 3/],
    [{ n: 2, dw: 3 }, /dw is 3, n is 2/],
    [{ r: 0 }, /r must be at least 1, got 0/],
    [{ pr: -1 }, /pr must be an integer from 0/],
    [{ r: 1.5 }, /r must be an integer/],
  ])('%j is refused and changes nothing', (changes, message) => {
    const types = new BucketTypes()
    expect(() => types.set('default', changes)).toThrow(message)
    expect(types.get('default').n).toBe(3)
  })

  test('values of a wrong kind are refused by name', () => {
    const types = new BucketTypes()
    const set = (changes: object) => () => types.set('t', changes)
    expect(set({ r: 'most' })).toThrow(/r must be an integer, one, quorum or all, got "most"/)
    expect(set({ sloppy: 'yes' })).toThrow(/sloppy must be a boolean/)
    expect(set({ policy: { kind: 'newest' } })).toThrow(/policy.kind must be siblings/)
    expect(set({ policy: { kind: 'merge', name: 'x' } })).toThrow(/policy.merge must be a function/)
    expect(set({ policy: undefined })).toThrow(/policy must be a merge policy/)
    expect(set({ allowMult: true })).toThrow(/no option "allowMult"/)
    expect(() => types.set('With Space', {})).toThrow(RangeError)
    expect(() => types.get('t')).toThrow(RangeError)
  })
})

describe('quorums', () => {
  test('quorum is a majority, all and one are what they say', () => {
    const sizes = (n: number) => (['one', 'quorum', 'all'] as const).map((size) => quorumSize('r', size, n))
    expect([1, 2, 3, 4, 5].map(sizes)).toEqual([
      [1, 1, 1],
      [1, 2, 2],
      [1, 2, 3],
      [1, 3, 4],
      [1, 3, 5],
    ])
  })

  test('a request overrides its type, in what is there', () => {
    const type = new BucketTypes().set('t', { n: 5, r: 2, pr: 1, notfoundOk: false })
    expect(readQuorum(type, {}, 5)).toMatchObject({ n: 5, r: 2, pr: 1, notfoundOk: false })
    expect(readQuorum(type, { r: 'all', n: 4 }, 5)).toMatchObject({ n: 4, r: 4 })
    expect(writeQuorum(type, { dw: 0 }, 3)).toEqual({ n: 3, w: 2, dw: 1, pw: 0, sloppy: true })
    expect(writeQuorum(type, { w: 4 }, 3)).toMatchObject({ n: 3, w: 4 })
    expect(() => writeQuorum(type, { w: 6 }, 3)).toThrow(/w is 6, n is 5/)
  })
})

test('coordinator options are checked by name', () => {
  expect(validateCoordinatorOptions({}).timeoutMs).toBe(10_000)
  expect(() => validateCoordinatorOptions({ timeoutMs: 0 })).toThrow(/timeoutMs/)
  expect(() => validateCoordinatorOptions({ hedgeStartMs: 5000 })).toThrow(
    /hedgeStartMs .* 1 to 1000, got 5000/,
  )
  const misspelt = { timeoutMs: 5, timeout: 5 }
  expect(() => validateCoordinatorOptions(misspelt)).toThrow(/no option "timeout"/)
})
