import { expect, test } from 'vitest'
import { runTape } from '../src/tape.ts'

const aTick = () => new Promise<void>((resolve) => setImmediate(resolve))

test('a test ends when its promise resolves, when it says so, or when its plan is met', async () => {
  await runTape(async (t) => t.ok(true))
  await runTape((t) => {
    void aTick().then(() => t.end())
  })
  await runTape((t) => {
    t.plan(2)
    t.pass()
    void aTick().then(() => t.is(1, 1))
  })
})

test.each<[string, Parameters<typeof runTape>[0]]>([
  ['an assertion that fails', async (t) => t.is(1, 2)],
  [
    'an assertion that fails later',
    (t) =>
      void aTick()
        .then(() => t.fail('late'))
        .catch(() => {}),
  ],
  [
    'a failure that the code under test swallows',
    async (t) => {
      try {
        t.same([1], [2])
      } catch {}
      await new Promise(() => {})
    },
  ],
  [
    'a plan that is not met',
    async (t) => {
      t.plan(2)
      t.pass()
    },
  ],
  [
    'a plan that is not met at the end',
    (t) => {
      t.plan(1)
      t.end()
    },
  ],
  [
    'an assertion beyond the plan',
    async (t) => {
      t.plan(1)
      t.pass()
      t.pass()
    },
  ],
  ['a rejection', () => Promise.reject(new Error('no'))],
  [
    'something that does not throw',
    async (t) =>
      t.throws(
        () => {},
        () => true,
      ),
  ],
])('%s fails the test', async (_, body) => {
  await expect(runTape(body)).rejects.toThrow()
})
