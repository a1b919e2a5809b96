import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { KeyTurns } from '../src/key-turns.ts'
import { WriteGroups } from '../src/write-groups.ts'
import { manualRuntime } from './manual-runtime.ts'

const MAX_WAITING = 10_000

test.each([
  ['who wait', MAX_WAITING + 10, MAX_WAITING],
  ['of which a key is in use', 1, 0],
])('who is refused, since there are too many %s, leaves nothing at its signal', async (_, turns, waiting) => {
  const groups = new WriteGroups<number, number>(new KeyTurns(turns), manualRuntime().clock)
  let go = () => {}
  const going = new Promise<void>((resolve) => {
    go = resolve
  })
  const join = (value: number, signal?: AbortSignal) =>
    groups.join({
      key: 'k',
      kind: () => 'puts',
      value,
      signal,
      run: async (seats) => {
        await going
        for (const seat of seats) seat.resolve(seat.value)
      },
    })
  const writes = Array.from({ length: waiting + 1 }, (_, value) => join(value))
  const { signal } = new AbortController()
  for (let n = 0; n < 3; n++)
    await expect(join(-1, signal)).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED', definite: true })
  expect(getEventListeners(signal, 'abort')).toEqual([])
  go()
  expect((await Promise.all(writes)).length).toBe(waiting + 1)
  expect(await join(7, signal)).toBe(7)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
