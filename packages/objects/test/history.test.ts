import { encodeWith, toHex } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { historyCodec } from '../src/codec.ts'
import {
  activate,
  ascend,
  dueManifests,
  expire,
  forget,
  forgetMark,
  forgetRetired,
  type History,
  isEmpty,
  joinHistories,
  latestMark,
  NO_HISTORY,
  retire,
  settle,
  visibleOf,
} from '../src/history.ts'
import { joinManifests } from '../src/manifest.ts'
import { arbitraryHistory, manifest, upload } from './histories.ts'

const INLINE = '01'.repeat(16)
const BLOCKS = '02'.repeat(16)
const INLINE_2 = '03'.repeat(16)
const BLOCKS_2 = '04'.repeat(16)

function bytesOf(history: History): string {
  return toHex(encodeWith(historyCodec, history))
}

function states(history: History): Record<string, string> {
  return Object.fromEntries([...history.manifests].map(([uuid, { state }]) => [uuid, state]))
}

function remove(history: History, nowMs: number): History {
  return retire(history, latestMark(history, nowMs))
}

describe('the join of histories', () => {
  const join = (a: History, b: History) => joinHistories(a, b)
  /** Joined with nothing, a history has the one form that the laws speak of. */
  const normal = (history: History) => join(history, NO_HISTORY)

  test('is commutative', () => {
    fc.assert(
      fc.property(arbitraryHistory, arbitraryHistory, (a, b) => {
        expect(bytesOf(join(a, b))).toBe(bytesOf(join(b, a)))
      }),
      { numRuns: 400 },
    )
  })

  test('is associative', () => {
    fc.assert(
      fc.property(arbitraryHistory, arbitraryHistory, arbitraryHistory, (a, b, c) => {
        expect(bytesOf(join(join(a, b), c))).toBe(bytesOf(join(a, join(b, c))))
      }),
      { numRuns: 800 },
    )
  })

  test('is idempotent', () => {
    fc.assert(
      fc.property(arbitraryHistory, arbitraryHistory, (a, b) => {
        expect(bytesOf(join(a, a))).toBe(bytesOf(normal(a)))
        const both = join(a, b)
        expect(bytesOf(join(both, a))).toBe(bytesOf(both))
      }),
      { numRuns: 400 },
    )
  })

  test('never takes a step back: what a side has hidden stays hidden', () => {
    fc.assert(
      fc.property(arbitraryHistory, arbitraryHistory, (a, b) => {
        const before = normal(a)
        const deleted = remove(before, 9)
        expect(visibleOf(deleted)).toBeUndefined()
        expect(visibleOf(join(deleted, a))).toBeUndefined()
        for (const [uuid, { state }] of join(a, b).manifests) {
          const known = before.manifests.get(uuid)
          const order = ['writing', 'deleted', 'active', 'pending-delete']
          if (known !== undefined)
            expect(order.indexOf(state)).toBeGreaterThanOrEqual(order.indexOf(known.state))
        }
      }),
      { numRuns: 400 },
    )
  })

  test('shows the greatest active version, and of equal ones that with the greater uuid', () => {
    fc.assert(
      fc.property(arbitraryHistory, arbitraryHistory, (a, b) => {
        const history = join(a, b)
        const places = [...history.manifests.values()]
          .flatMap(({ uuid, content }) => (content === undefined ? [] : [[content.version, uuid] as const]))
          .filter(([version, uuid]) => {
            const { retired } = history
            return version > retired.version || (version === retired.version && uuid > retired.uuid)
          })
          .sort(([v1, u1], [v2, u2]) => v1 - v2 || (u1 < u2 ? -1 : 1))
        expect(visibleOf(history)?.uuid).toBe(places.at(-1)?.[1])
      }),
      { numRuns: 400 },
    )
  })

  test('counts blocks exactly as soon as one side can', () => {
    const writing = manifest(BLOCKS, 'writing', { blocks: 256, sealed: false, leaseEndsMs: 5 })
    const fenced = manifest(BLOCKS, 'deleted', { blocks: 64, sealed: false, removedMs: 5 })
    expect(joinManifests(writing, fenced)).toMatchObject({ state: 'deleted', blocks: 256, leaseEndsMs: 0 })
    expect(joinManifests(manifest(BLOCKS, 'active'), fenced)).toMatchObject({ state: 'active', blocks: 3 })
  })
})

describe('the versions of an object', () => {
  test('an overwritten version waits for collection if it has blocks, and is gone at once if it has none', () => {
    let history = activate(NO_HISTORY, upload(INLINE), 100)
    history = activate(history, upload(BLOCKS), 200)
    expect(states(history)).toEqual({ [BLOCKS]: 'active' })
    history = activate(history, upload(INLINE_2), 300)
    expect(states(history)).toEqual({ [BLOCKS]: 'pending-delete', [INLINE_2]: 'active' })
    expect(history.manifests.get(BLOCKS)).toMatchObject({ removedMs: 300, blocks: 3, content: undefined })
  })

  test('a later version is greater even when the wall clock went back', () => {
    let history = activate(NO_HISTORY, upload(INLINE), 1000)
    history = activate(history, upload(BLOCKS), 10)
    expect(visibleOf(history)).toMatchObject({ uuid: BLOCKS, content: { version: 1001, modifiedMs: 10 } })
    history = activate(remove(history, 5), upload(INLINE_2), 3)
    expect(visibleOf(history)).toMatchObject({ uuid: INLINE_2, content: { version: 1002 } })
  })

  test('an old version that turns up after its deletion stays deleted, even when it was forgotten', () => {
    const first = activate(NO_HISTORY, upload(BLOCKS), 100)
    const deleted = forget(remove(first, 200), [BLOCKS])
    const late = joinHistories(deleted, first)
    expect(visibleOf(late)).toBeUndefined()
    expect(states(settle(late, 300))).toEqual({ [BLOCKS]: 'pending-delete' })
  })

  test('a version that the deletion did not know of survives it', () => {
    const seen = activate(NO_HISTORY, upload(INLINE), 100)
    const overwritten = activate(seen, upload(BLOCKS), 200)
    const both = joinHistories(remove(seen, 300), overwritten)
    expect(visibleOf(both)?.uuid).toBe(BLOCKS)
  })

  test('of two that did not know of each other one is visible, and settling hides the other', () => {
    const a = activate(NO_HISTORY, upload(BLOCKS), 100)
    const b = activate(NO_HISTORY, upload(BLOCKS_2), 100)
    const both = joinHistories(a, b)
    expect(visibleOf(both)?.uuid).toBe(BLOCKS_2)
    const settled = settle(both, 200)
    expect(states(settled)).toEqual({ [BLOCKS]: 'pending-delete', [BLOCKS_2]: 'active' })
    expect(settle(settled, 300)).toBe(settled)
    expect(visibleOf(joinHistories(settled, a))?.uuid).toBe(BLOCKS_2)
  })

  test('an upload whose lease is over is taken for dead, unless it has become a version somewhere', () => {
    const noted: History = {
      ...NO_HISTORY,
      manifests: new Map([
        [BLOCKS, manifest(BLOCKS, 'writing', { blocks: 64, sealed: false, leaseEndsMs: 500 })],
      ]),
    }
    expect(expire(noted, 499)).toBe(noted)
    const expired = expire(noted, 500)
    expect(states(expired)).toEqual({ [BLOCKS]: 'deleted' })
    expect(dueManifests(expired, 499)).toEqual([])
    expect(dueManifests(expired, 500).map(({ uuid, blocks }) => [uuid, blocks])).toEqual([[BLOCKS, 64]])
    const finished = joinHistories(expired, activate(noted, upload(BLOCKS), 600))
    expect(visibleOf(finished)?.uuid).toBe(BLOCKS)
    expect(finished.manifests.get(BLOCKS)).toMatchObject({ state: 'active', blocks: 3 })
  })

  test('a change that changes nothing answers the same history', () => {
    const history = activate(NO_HISTORY, upload(BLOCKS), 100)
    expect(settle(history, 200)).toBe(history)
    expect(expire(history, 200)).toBe(history)
    expect(forget(history, [INLINE])).toBe(history)
    expect(forgetRetired(history, () => true)).toBe(history)
    expect(forgetMark(history, 200)).toBe(history)
    const deleted = remove(history, 200)
    expect(retire(deleted, { version: 100, uuid: BLOCKS, atMs: 999 })).toBe(deleted)
  })

  test('the mark of a deletion is forgotten last, and not before its time', () => {
    const deleted = remove(activate(NO_HISTORY, upload(BLOCKS), 100), 200)
    expect(forgetRetired(deleted, () => true)).toBe(deleted)
    expect(forgetMark(deleted, 1000)).toBe(deleted)
    const rest = forget(deleted, [BLOCKS])
    expect(isEmpty(rest)).toBe(false)
    expect(isEmpty(forgetMark(rest, 199))).toBe(false)
    expect(isEmpty(forgetMark(rest, 200))).toBe(true)
  })
})

describe('versions that were written at the same time', () => {
  const inBlocks = (uuid: string) => ({ ...upload(uuid), blocks: 3 })
  const places = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 5 })
  const times = fc.array(fc.tuple(fc.nat(4), fc.nat(31), fc.nat(9)), { maxLength: 5 })

  test('never each retire the other, whatever each of them sees when it goes above them', () => {
    fc.assert(
      fc.property(places, times, (began, steps) => {
        const uuids = began.map((_, at) => `${at}${at}`.repeat(16))
        const written = began.map((nowMs, at) => activate(NO_HISTORY, inBlocks(uuids[at] ?? ''), nowMs))
        const acts = steps.map(([who, seen, nowMs]) => {
          const own = who % began.length
          const view = written.filter((_, at) => at === own || (seen & (1 << at)) !== 0)
          return ascend(view.reduce(joinHistories, NO_HISTORY), uuids[own] ?? '', nowMs)
        })
        expect(visibleOf([...written, ...acts].reduce(joinHistories, NO_HISTORY))).toBeDefined()
      }),
    )
  })
})
