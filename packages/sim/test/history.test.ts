import { AtollError } from '@atoll/core'
import { expect, test } from 'vitest'
import { createWorld, describeOperation, OperationHistory } from '../src/index.ts'

const put = { client: 'c1', kind: 'put', key: 'k', value: 'v' } as const

test('records what was asked, when, and what came of it', async () => {
  const world = createWorld({ seed: 1 })
  const history = new OperationHistory(() => world.nowMs)
  const { clock } = world.runtime('c1')
  await world.run(async () => {
    await history.record(put, () => clock.sleep(5))
    await history.record({ client: 'c1', kind: 'get', key: 'k' }, async () => 'v')
    await history.record({ client: 'c1', kind: 'get', key: 'none' }, async () => undefined)
  })
  expect(history.operations.map(describeOperation)).toEqual([
    'c1 put k = v (ok, 0.000 to 5.000 ms)',
    'c1 get k = v (ok, 5.000 to 5.000 ms)',
    'c1 get none (ok, 5.000 to 5.000 ms)',
  ])
  expect(history.operations.map(({ began, ended }) => [began, ended])).toEqual([
    [0, 1],
    [2, 3],
    [4, 5],
  ])
})

test('tells what certainly failed from what may have happened', async () => {
  const history = new OperationHistory(() => 0)
  const definite = await history.record(put, () =>
    Promise.reject(new AtollError('ATOLL_QUORUM_IMPOSSIBLE', '')),
  )
  const timeout = await history.record(put, () => Promise.reject(new AtollError('ATOLL_TIMEOUT', '')))
  expect([definite.outcome, timeout.outcome]).toEqual(['fail', 'unknown'])
  await expect(history.record(put, () => Promise.reject(new TypeError('a bug')))).rejects.toThrow('a bug')
  void history.record(put, () => new Promise<void>(() => {}))
  expect(history.operations.map(({ outcome }) => outcome)).toEqual(['fail', 'unknown', 'unknown', 'unknown'])
  expect(describeOperation(history.operations[3]!)).toBe('c1 put k = v (unknown, 0.000 to … ms)')
})
