import type { Runtime } from '@atoll/core'
import { utf8 } from '@atoll/core'
import { VnodeHost } from '@atoll/vnode'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { content, id, policyOf, testRuntime, write } from '../../vnode/test/world.ts'
import { openData, openStorage } from '../src/node-storage.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
const PARTITIONS = 8

/** A runtime whose timers never fire; `waiting` tells how many there are. */
function patient(): { readonly runtime: Runtime; readonly waiting: () => number } {
  const timers = new Set<object>()
  const runtime = testRuntime()
  const timer = () => {
    const handle = {}
    timers.add(handle)
    return { cancel: () => void timers.delete(handle) }
  }
  const { clock } = runtime
  const sleep: typeof clock.sleep = (_, { signal } = {}) =>
    new Promise((_resolve, reject) => {
      const { cancel } = timer()
      signal?.addEventListener('abort', () => {
        cancel()
        reject(signal.reason)
      })
    })
  return { runtime: { ...runtime, clock: { ...clock, timer, sleep } }, waiting: () => timers.size }
}

/** Records that nobody has counted: to count them takes a while, and is done in the background. */
async function uncounted(): Promise<MemoryLevel<string, string>> {
  const database = new MemoryLevel<string, string>()
  const host = new VnodeHost(testRuntime(), { database, policyOf }, { node: 'n1', partitions: PARTITIONS })
  await host.open()
  await host.coordinate(write(id('k'), content('v')))
  await host.close()
  await database.open()
  const keys = await database.keys({ ...VIEW, gte: new Uint8Array() }).nextv(100)
  const counts = keys.filter((key) => Buffer.from(key).toString('latin1').startsWith('!meta!count'))
  await database.batch(
    counts.map((key) => ({ type: 'del', key }) as const),
    VIEW,
  )
  expect(counts.length).toBeGreaterThan(0)
  await database.close()
  return database
}

const NOTES = ['id', 'generation']

test.each(NOTES)('a node of which the note "%s" is damaged leaves nothing under way', async (note) => {
  const database = await uncounted()
  const { runtime, waiting } = patient()
  const data = await openData(database, runtime)
  await data.database.batch([{ type: 'put', key: utf8(`!cluster!${note}`), value: utf8('damaged') }], {
    ...VIEW,
    sync: true,
  })
  const opening = openStorage('n1', data, { runtime, options: { partitions: PARTITIONS }, known: undefined })
  await expect(opening).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
  expect(database.status).toBe('closed')
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  expect(waiting()).toBe(0)
})
