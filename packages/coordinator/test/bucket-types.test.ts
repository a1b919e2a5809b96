import { readFileSync } from 'node:fs'
import type { MergePolicy } from '@atoll/causality'
import { EMPTY_BYTES, encodeTuple, fromHex, toHex } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type BucketProperties,
  BucketTypes,
  decodeBucketProperties,
  encodeBucketProperties,
} from '../src/index.ts'
import { validateCoordinatorOptions } from '../src/options.ts'
import { quorumSize, readQuorum, writeQuorum } from '../src/quorum.ts'

const first = ([sibling]: readonly { readonly value: Uint8Array }[]) => sibling?.value ?? EMPTY_BYTES

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
      absence: 'primaries',
      sloppy: true,
      replicate: true,
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
    expect(() => new BucketTypes().get('nope')).toThrow('type must be a bucket type that exists, got "nope"')
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
    expect(set({ policy: { kind: 'merge', name: 'x' } })).toThrow(
      /policy.name .* registered function, got "x"/,
    )
    expect(set({ policy: { kind: 'merge', name: 'x', merge: 1 } })).toThrow(/policy.merge must be a function/)
    expect(set({ policy: { kind: 'merge', name: 'a b', merge: first } })).toThrow(/policy.name/)
    expect(set({ replicate: 1 })).toThrow(/replicate must be a boolean/)
    expect(set({ policy: undefined })).toThrow(/policy must be a merge policy/)
    expect(set({ allowMult: true })).toThrow(/no option "allowMult"/)
    expect(() => types.set('With Space', {})).toThrow(RangeError)
    expect(() => types.get('t')).toThrow(RangeError)
  })
})

describe('a change', () => {
  const kinds = ['siblings', 'last-write-wins', 'merge', 'write-once'] as const
  const policyOf = (kind: (typeof kinds)[number]): MergePolicy =>
    kind === 'merge' ? { kind, name: 'first', merge: first } : { kind }

  test.each(kinds.flatMap((from) => kinds.map((to) => [from, to] as const)))('from %s to %s', (from, to) => {
    const types = new BucketTypes()
    types.set('t', { policy: policyOf(from) })
    const change = () => types.set('t', { policy: policyOf(to), n: 5 })
    if ((from === 'write-once') === (to === 'write-once')) {
      expect(change()).toMatchObject({ n: 5, policy: { kind: to } })
      return
    }
    expect(change).toThrow(
      expect.objectContaining({
        code: 'ATOLL_CHANGE_REFUSED',
        details: { type: 't', before: from, after: to },
      }),
    )
    expect(types.get('t')).toMatchObject({ n: 3, policy: { kind: from } })
  })

  test('n goes up and down, as far as the quorums allow', () => {
    const types = new BucketTypes()
    types.set('t', { n: 5, w: 4 })
    expect(() => types.set('t', { n: 3 })).toThrow(/w is 4, n is 3/)
    expect(types.set('t', { n: 3, w: 'quorum' }).n).toBe(3)
    expect(types.set('t', { n: 7 }).n).toBe(7)
  })

  test('is checked without being made', () => {
    const types = new BucketTypes()
    expect(types.check('new', { n: 5 })).toMatchObject({ n: 5, w: 'quorum' })
    expect(types.check('default', { replicate: false })).toMatchObject({ n: 3, replicate: false })
    expect([types.has('new'), types.has('default'), types.get('default').replicate]).toEqual([
      false,
      true,
      true,
    ])
  })
})

describe('in the cluster document', () => {
  const golden = readFileSync(new URL('golden/bucket-properties-1.hex', import.meta.url), 'utf8').trim()
  const full: BucketProperties = {
    n: 5,
    r: 'one',
    w: 4,
    dw: 'all',
    pr: 0,
    pw: 'quorum',
    notfoundOk: false,
    basicQuorum: true,
    absence: 'primaries',
    sloppy: false,
    replicate: false,
    policy: { kind: 'merge', name: 'first', merge: first },
  }

  test('properties are written as they always were, and old ones open', () => {
    expect(toHex(encodeBucketProperties(full))).toBe(golden)
    expect(decodeBucketProperties(fromHex(golden), () => first)).toEqual(full)
  })

  test('what the first version cannot say is written in the second', () => {
    const second = readFileSync(new URL('golden/bucket-properties-2.hex', import.meta.url), 'utf8').trim()
    const any: BucketProperties = { ...full, absence: 'any' }
    expect(toHex(encodeBucketProperties(any))).toBe(second)
    expect(decodeBucketProperties(fromHex(second), () => first)).toEqual(any)
  })

  test('whatever can be set comes back', () => {
    const size = (n: number) =>
      fc.oneof(fc.integer({ min: 1, max: n }), fc.constantFrom('one', 'quorum', 'all'))
    const any = fc.integer({ min: 1, max: 16 }).chain((n) =>
      fc.record({
        n: fc.constant(n),
        r: size(n),
        w: size(n),
        dw: size(n),
        pr: size(n),
        pw: size(n),
        notfoundOk: fc.boolean(),
        basicQuorum: fc.boolean(),
        absence: fc.constantFrom('primaries', 'any'),
        sloppy: fc.boolean(),
        replicate: fc.boolean(),
        policy: fc.constantFrom(
          { kind: 'siblings' },
          { kind: 'last-write-wins' },
          { kind: 'write-once' },
          full.policy,
        ),
      }),
    ) as fc.Arbitrary<BucketProperties>
    fc.assert(
      fc.property(fc.uniqueArray(any, { maxLength: 5 }), (all) => {
        const from = new BucketTypes()
        for (const [at, properties] of all.entries()) from.set(`t${at}`, properties)
        const to = new BucketTypes({ merges: { first } })
        to.set('gone', {})
        to.replaceAll(from.toEncoded())
        expect([...to.entries()]).toEqual([...from.entries()])
        expect(to.toEncoded()).toEqual(from.toEncoded())
      }),
      { numRuns: 50 },
    )
  })

  test.each([
    ['no properties', Uint8Array.of(1, 2), 'ATOLL_CORRUPT'],
    [
      'a quorum past n',
      encodeTuple(1, [2, '3', '1', '1', '0', '0', true, true, true, true, 'siblings', null]),
      'ATOLL_CORRUPT',
    ],
    [
      'a quorum that is none',
      encodeTuple(1, [2, 'two', '1', '1', '0', '0', true, true, true, true, 'siblings', null]),
      'ATOLL_CORRUPT',
    ],
    [
      'an unknown policy',
      encodeTuple(1, [2, '1', '1', '1', '0', '0', true, true, true, true, 'newest', null]),
      'ATOLL_CORRUPT',
    ],
    [
      'a merge without a name',
      encodeTuple(1, [2, '1', '1', '1', '0', '0', true, true, true, true, 'merge', null]),
      'ATOLL_CORRUPT',
    ],
    [
      'an absence of another kind',
      encodeTuple(2, [2, '1', '1', '1', '0', '0', true, true, true, true, 'siblings', null, 'few']),
      'ATOLL_CORRUPT',
    ],
    ['a newer version', encodeTuple(3, ['what is to come']), 'ATOLL_FORMAT'],
  ])('%s stops that type alone, and is handed on as it is', (_, bytes, code) => {
    const types = new BucketTypes()
    types.replaceAll(
      new Map([
        ['odd', bytes],
        ['plain', encodeBucketProperties(types.get('default'))],
      ]),
    )
    for (const use of [() => types.get('odd'), () => types.policyOf('odd'), () => types.forRequest('odd')])
      expect(use).toThrow(expect.objectContaining({ code }))
    expect(() => types.set('odd', { n: 1 })).toThrow(expect.objectContaining({ code }))
    expect(types.forRequest('plain').n).toBe(3)
    expect(types.has('odd')).toBe(true)
    expect([...types.entries()].map(([type]) => type)).toEqual(['default', 'plain'])
    expect(types.toEncoded().get('odd')).toEqual(bytes)
  })

  test('a merge function that this node lacks stops requests of that type, not its replicas', () => {
    const types = new BucketTypes()
    types.replaceAll(new Map([['odd', fromHex(golden)]]))
    const lacks = expect.objectContaining({
      code: 'ATOLL_FORMAT',
      message: expect.stringMatching(/"odd" .* "first"/),
    })
    expect(() => types.forRequest('odd')).toThrow(lacks)
    const policy = types.policyOf('odd')
    expect(() => policy.kind === 'merge' && policy.merge([])).toThrow(lacks)
    expect(types.get('odd').n).toBe(5)
    // A change of something else does not bring the function.
    types.set('odd', { n: 7 })
    expect(() => types.forRequest('odd')).toThrow(lacks)
    types.set('other', { policy: { kind: 'merge', name: 'first', merge: first } })
    types.replaceAll(types.toEncoded())
    expect(types.forRequest('odd')).toMatchObject({ n: 7, policy: { name: 'first', merge: first } })
  })

  test('all are taken, or none; what is decided is not refused', () => {
    const types = new BucketTypes({ merges: { first } })
    types.set('kept', { n: 4 })
    const bytes = encodeBucketProperties(full)
    expect(() =>
      types.replaceAll(
        new Map([
          ['a', bytes],
          ['Bad Name', bytes],
        ]),
      ),
    ).toThrow(/bucket type/)
    const many = new Map(Array.from({ length: 1025 }, (_, at) => [`t${at}`, bytes]))
    expect(() => types.replaceAll(many)).toThrow(/at most 1024 bucket types/)
    expect([...types.entries()].map(([type]) => type)).toEqual(['default', 'kept'])
    types.replaceAll(new Map([['kept', encodeBucketProperties({ ...full, policy: { kind: 'write-once' } })]]))
    expect(types.get('kept').policy.kind).toBe('write-once')
    expect(types.get('default').n).toBe(3)
  })

  test('merge functions are registered by name, and a name is enough then', () => {
    expect(() => new BucketTypes({ merges: { ['x']: 1 } } as object)).toThrow(/merges.x must be a function/)
    expect(() => new BucketTypes({ merge: {} } as object)).toThrow(/no option "merge"/)
    const types = new BucketTypes({ merges: { first } })
    expect(types.set('t', { policy: { kind: 'merge', name: 'first' } }).policy).toMatchObject({
      merge: first,
    })
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
