import type { Outcome } from '@atoll/sim'
import { expect, test } from 'vitest'
import { checkOwnBucket, type OwnFinal } from '../src/check-buckets.ts'

const ALL = [
  'create',
  'put',
  'delete of a full one',
  'delete of the object',
  'delete',
  'create again',
  'put again',
]

/** What was acknowledged up to a step, and what came of the next one. */
interface Life {
  readonly upTo: string
  readonly next?: Outcome
  readonly late?: Outcome
  /** Of the late put; default true. */
  readonly isPlaced?: boolean
}

/** `pearl, late of 1`: what is listed and can be read, in the first bucket of the name or in the second; or nothing. */
function finalOf(text: string): OwnFinal {
  if (text === 'no bucket') return { isListed: false, id: undefined, listed: undefined, read: [] }
  const [, keys = '', id] = /^(.*) ?of (\d)$/.exec(text) ?? []
  const listed = keys.split(',').filter((key) => key.trim() !== '')
  const read = listed.map((key) => key.trim())
  return { isListed: true, id, listed: read, read }
}

function said({ upTo, next: outcome, late, isPlaced = true }: Life, final: OwnFinal, meet = true): string[] {
  const done = ALL.slice(0, ALL.indexOf(upTo) + 1)
  const next = ALL[done.length]
  const steps = new Map<string, Outcome>(done.map((step) => [step, 'ok']))
  if (next !== undefined && outcome !== undefined) steps.set(next, outcome)
  const own = {
    name: 'own',
    ids: done.includes('create again') ? ['1', '2'] : ['1'],
    steps,
    late: late && { outcome: late, isPlaced },
  }
  return checkOwnBucket(own, final, meet).map(({ rule, message }) => `${rule}: ${message}`)
}

const KEPT: readonly [life: Life, final: string, meet?: boolean][] = [
  [{ upTo: 'create' }, 'of 1'],
  [{ upTo: 'create', next: 'unknown' }, 'pearl of 1'],
  [{ upTo: 'put' }, 'pearl of 1', false],
  [{ upTo: 'put', next: 'unknown' }, 'no bucket'],
  [{ upTo: 'delete of a full one', late: 'ok' }, 'late,pearl of 1', false],
  [{ upTo: 'delete of a full one', next: 'unknown' }, 'of 1'],
  [{ upTo: 'delete of the object', next: 'fail', late: 'unknown' }, 'late of 1'],
  [{ upTo: 'delete of the object' }, 'pearl of 1', false],
  [{ upTo: 'delete' }, 'no bucket'],
  [{ upTo: 'delete', next: 'unknown' }, 'of 2'],
  [{ upTo: 'delete' }, 'pearl of 1', false],
  [{ upTo: 'create again', next: 'unknown' }, 'coral of 2'],
  [{ upTo: 'put again' }, 'coral of 2'],
  [{ upTo: 'put again' }, 'no bucket', false],
  [{ upTo: 'put again', late: 'ok', isPlaced: false }, 'coral,late of 2'],
]

test.each(KEPT)('%j may have %s in the end', (life, final, meet) => {
  expect(said(life, finalOf(final), meet)).toEqual([])
})

const BROKEN: readonly [life: Life, final: string, what: string, meet?: boolean][] = [
  [{ upTo: 'create' }, 'no bucket', 'it was made, and is not there', false],
  [{ upTo: 'create', next: 'fail' }, 'pearl of 1', 'pearl is there, and must not be', false],
  [{ upTo: 'put' }, 'of 1', 'pearl was put, and is not there', false],
  [{ upTo: 'put', next: 'fail' }, 'of 1', 'pearl was put, and is not there', false],
  [{ upTo: 'put' }, 'pearl,else of 1', 'else is there, and must not be', false],
  [{ upTo: 'delete of a full one', late: 'ok' }, 'pearl of 1', 'late was put, and is not there', false],
  [{ upTo: 'delete of the object' }, 'pearl of 1', 'pearl is there, and must not be'],
  [{ upTo: 'delete of the object', next: 'fail' }, 'no bucket', 'it was made, and is not there', false],
  [
    { upTo: 'delete of the object', next: 'fail', late: 'fail' },
    'late of 1',
    'late is there, and must not be',
  ],
  [{ upTo: 'delete' }, 'of 1', 'it was deleted, and is there'],
  [{ upTo: 'delete', next: 'unknown' }, 'of 1', 'it was deleted, and is there'],
  [{ upTo: 'create again' }, 'no bucket', 'it was made, and is not there'],
  [{ upTo: 'create again' }, 'pearl of 2', 'pearl is there, and must not be', false],
  [{ upTo: 'put again', late: 'unknown' }, 'coral,late of 2', 'late is there, and must not be', false],
  [{ upTo: 'put again' }, 'of 2', 'coral was put, and is not there'],
]

test.each(BROKEN)('%j may not have %s: %s', (life, final, what, meet) => {
  expect(said(life, finalOf(final), meet)).toEqual([`bucket: in the end ${what}`])
})

test('what is listed can be read, and the bucket is where the list of buckets says', () => {
  const life: Life = { upTo: 'put' }
  const final = finalOf('pearl of 1')
  expect(said(life, { ...final, read: [] })).toEqual([
    'bucket: in the end pearl is listed, and cannot be read',
  ])
  expect(said(life, { ...final, read: ['pearl', 'late'] })).toEqual([
    'bucket: in the end late can be read, and is not listed',
  ])
  expect(said(life, { ...final, isListed: false })).toEqual([
    'bucket: in the end it is not in the list of buckets, and a listing of it says otherwise',
  ])
})
