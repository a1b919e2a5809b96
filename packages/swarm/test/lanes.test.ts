import type { SeedReport } from '@atoll/sim'
import { expect, test } from 'vitest'
import { type Lane, runOnLanes } from '../src/lanes.ts'

interface Report extends SeedReport<object> {}

const reportOf = (seed: number, fails: boolean): Report => ({
  seed,
  options: {},
  failure: fails ? { message: `seed ${seed}`, error: undefined } : undefined,
  traceHash: '',
  virtualMs: 10,
  events: seed,
  marks: new Map([['seen', 1]]),
  timeline: [],
})

/** Lanes that answer after so many turns of the microtask queue, and keep what they were asked. */
function lanesOf(turns: readonly number[], bad: readonly number[] = []) {
  const asked: number[][] = turns.map(() => [])
  let open = turns.length
  const lanes = turns.map(
    (count, at): Lane<object> => ({
      run: async (seed) => {
        asked[at]?.push(seed)
        for (let turn = 0; turn < count; turn++) await Promise.resolve()
        return reportOf(seed, bad.includes(seed))
      },
      close: async () => {
        open -= 1
      },
    }),
  )
  return { lanes, asked, open: () => open }
}

test('a lane that is free takes the next seed, and everything is counted once', async () => {
  const { lanes, asked, open } = lanesOf([1, 20])
  const done: number[] = []
  const summary = await runOnLanes(lanes, { from: 5, count: 20, onProgress: (_, runs) => done.push(runs) })
  expect(asked.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, at) => at + 5))
  expect(asked[0]?.length).toBeGreaterThan(asked[1]?.length ?? 0)
  expect(summary).toMatchObject({ runs: 20, failures: [], events: 290, virtualMs: 200 })
  expect(summary.marks).toEqual(new Map([['seen', 20]]))
  expect(done).toEqual(Array.from({ length: 20 }, (_, at) => at + 1))
  expect(open()).toBe(0)
})

test('none is begun after a failure, and failures are told by their seeds', async () => {
  const { lanes, asked, open } = lanesOf([30, 1], [0, 2])
  const { failures } = await runOnLanes(lanes, { from: 0, count: 100, onProgress: () => {} })
  expect(failures.map(({ seed }) => seed)).toEqual([0, 2])
  expect(asked).toEqual([[0], [1, 2]])
  expect(open()).toBe(0)
})

test('a lane that breaks ends it, and all are closed', async () => {
  const { lanes, open } = lanesOf([1])
  const broken: Lane<object> = {
    run: () => Promise.reject(new Error('the thread died')),
    close: async () => {},
  }
  const running = runOnLanes([...lanes, broken], { from: 0, count: 10, onProgress: () => {} })
  await expect(running).rejects.toThrow('the thread died')
  expect(open()).toBe(0)
})
