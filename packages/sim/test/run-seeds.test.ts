import { expect, test } from 'vitest'
import {
  describeFailure,
  drawOptions,
  integer,
  oneOf,
  runSeed,
  runSeeds,
  type Scenario,
  sometimes,
} from '../src/index.ts'

const draws = {
  nodes: integer(1, 5),
  mode: oneOf('strict', 'sloppy'),
  lossPerMillion: sometimes(500, integer(1, 1000), 0),
}

test('draws options from the seed, each for itself', () => {
  const drawn = Array.from({ length: 100 }, (_, seed) => drawOptions(seed, draws))
  expect(drawn[7]).toEqual(drawOptions(7, draws))
  expect(new Set(drawn.map(({ nodes }) => nodes))).toEqual(new Set([1, 2, 3, 4, 5]))
  expect(new Set(drawn.map(({ mode }) => mode))).toEqual(new Set(['strict', 'sloppy']))
  const without = drawn.filter(({ lossPerMillion }) => lossPerMillion === 0).length
  expect(without).toBeGreaterThan(30)
  expect(without).toBeLessThan(70)
  const { mode, ...others } = draws
  const fewer = drawOptions(7, others)
  expect(drawn[7]).toEqual({ ...fewer, mode: drawn[7]?.mode })
  expect(Object.keys(fewer)).not.toContain('mode')
  expect(mode).toBe(draws.mode)
})

const drawn = (seed: number) => drawOptions(seed, draws)

test('what was drawn may say how others are drawn, and those that it does not name stay', () => {
  const instead = ({ mode }: ReturnType<typeof drawn>) => (mode === 'strict' ? { nodes: integer(6, 9) } : {})
  for (let seed = 0; seed < 50; seed++) {
    const [before, after] = [drawn(seed), drawOptions(seed, draws, instead)]
    expect(after).toEqual({ ...before, nodes: after.nodes })
    if (before.mode === 'strict') expect(after.nodes).toBeGreaterThan(5)
    else expect(after.nodes).toBe(before.nodes)
    expect(drawOptions(seed, draws, instead)).toEqual(after)
  }
})

/** A scenario with a bug that shows when a timer fires late enough on a big enough cluster. */
const buggy: Scenario<{ nodes: number; mode: 'strict' | 'sloppy'; lossPerMillion: number }> = {
  draws,
  world: () => ({ timerSlackMs: 5, timelineLines: 5 }),
  run: async (world, { nodes }) => {
    const { clock, probe } = world.runtime('n1')
    for (let round = 0; round < 20; round++) {
      const beforeMs = world.nowMs
      await clock.sleep(10)
      world.note(`round ${round}`)
      probe.mark('round')
      if (nodes > 3 && world.nowMs - beforeMs > 14.9) throw new Error('the lease ran out')
    }
  },
}

test('runs seeds until one fails, and tells how to see it again', async () => {
  const progress: number[] = []
  const summary = await runSeeds(buggy, {
    from: 1,
    count: 500,
    onProgress: (report, done) => progress.push(report.seed, done),
  })
  expect(summary.failures).toHaveLength(1)
  expect(progress.slice(0, 4)).toEqual([1, 1, 2, 2])
  expect(progress).toHaveLength(2 * summary.runs)
  const [failure] = summary.failures
  expect(failure?.failure?.message).toBe('the lease ran out')
  expect(failure?.options.nodes).toBeGreaterThan(3)
  expect(summary.marks.get('round')).toBeGreaterThanOrEqual(summary.runs)

  const again = await runSeed(failure!.seed, buggy)
  expect(again).toEqual(failure)
  const text = describeFailure(again)
  expect(text).toContain(`seed ${again.seed} failed after`)
  expect(text).toContain(`options ${JSON.stringify(again.options)}`)
  expect(text).toContain(`trace ${again.traceHash}`)
  expect(text).toMatch(/the lease ran out\nthe last that happened:\n(.*\n)*.* round \d+$/)
})

test('counts what was run, and keeps no timeline of what was well', async () => {
  const fine: Scenario<object> = { draws: {}, run: (world) => world.runtime('n1').clock.sleep(10) }
  const summary = await runSeeds(fine, { from: 0, count: 7 })
  expect(summary).toMatchObject({ runs: 7, failures: [], events: 7, virtualMs: 70 })
  expect((await runSeed(0, fine)).timeline).toEqual([])
})

test('reports a stuck run with its timeline once', async () => {
  const stuck: Scenario<object> = {
    draws: {},
    run: async (world) => {
      world.note('waits for ever')
      await new Promise(() => {})
    },
  }
  const report = await runSeed(3, stuck)
  expect(describeFailure(report).match(/waits for ever/g)).toHaveLength(1)
  expect(report.failure?.message).toContain('deadlock')
})
