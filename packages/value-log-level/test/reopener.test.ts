import { tmpdir } from 'node:os'
import { AtollError } from '@atoll/core'
import { expect, test } from 'vitest'
import { nodeFiles, nodeRuntime } from '../src/index.ts'
import { Reopener } from '../src/reopener.ts'

test('a log that fails again while it is opened again is opened once more', async () => {
  const [first, second] = ['first', 'second'].map((text) => new AtollError('ATOLL_STORAGE', text))
  const seen: (AtollError | undefined)[] = []
  await new Promise<void>((resolve) => {
    const reopener: Reopener = new Reopener({
      // The time goes by as fast as it can.
      runtime: { ...nodeRuntime(), clock: { ...nodeRuntime().clock, timer: (_, fire) => at(fire) } },
      files: nodeFiles(tmpdir()),
      reopen: async () => {
        seen.push(reopener.failure)
        if (seen.length === 1 && second !== undefined) reopener.failed(second)
        else resolve()
      },
    })
    if (first !== undefined) reopener.failed(first)
  })
  expect(seen).toEqual([first, second])
})

function at(fire: () => void) {
  const handle = setImmediate(fire)
  return { cancel: () => clearImmediate(handle) }
}
