import { encodeTuple } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { expect, test } from 'vitest'
import { COUNT_RANGE } from '../src/count-rows.ts'
import { BINARY } from '../src/database.ts'
import { FORMAT_KEY } from '../src/layout.ts'
import { seal } from '../src/seal.ts'
import { expectCounts } from './counts.ts'
import { content, id, makeHost, memoryStore, testRuntime, valuesOf, write } from './world.ts'

const { digest } = testRuntime()
const KEYS = Array.from({ length: 40 }, (_, at) => `k${at}`)
const homeOf = (key: string) => partitionOf(id(key), 8, digest.sha1)

/** A database as version 0.1.0 left it: every other record under the partition behind its own, whose owner kept it. */
async function oldStore() {
  const store = memoryStore()
  const host = makeHost(store.database)
  await host.open()
  for (const [at, key] of KEYS.entries()) {
    await host.coordinate({
      ...write(id(key), content(`value of ${key}`)),
      partition: (homeOf(key) + (at % 2)) % 8,
    })
  }
  const note = encodeTuple(1, ['atoll vnodes', 'n1', 8])
  const value = seal(FORMAT_KEY, note, digest.crc32)
  await store.database.batch([{ type: 'put', key: FORMAT_KEY, value }], { ...BINARY, sync: true })
  await host.close()
  return store
}

test('records that were filed by the owner of a partition are found by the partition of their key', async () => {
  const store = await oldStore()
  const host = makeHost(store.again())
  await host.open()
  for (const key of KEYS) {
    const { record } = await host.get({ partition: homeOf(key), id: id(key) })
    expect(valuesOf(record)).toEqual([`value of ${key}`])
  }
  const counts = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((partition) => host.count(partition)))
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(KEYS.length)
  await expectCounts(host)
  await host.close()
  store.dispose()
})

test('it is done once: what a later version files elsewhere stays', async () => {
  const store = await oldStore()
  const first = makeHost(store.again())
  await first.open()
  const [key = ''] = KEYS
  const elsewhere = (homeOf(key) + 3) % 8
  await first.coordinate({ ...write(id('stray'), content('stray')), partition: elsewhere })
  await first.close()
  const again = makeHost(store.again())
  await again.open()
  const { record } = await again.get({ partition: elsewhere, id: id('stray') })
  expect(valuesOf(record)).toEqual(['stray'])
  await again.close()
  store.dispose()
})

test('counts are right where their rows are damaged, and a batch fails, while records are filed anew', async () => {
  const store = memoryStore()
  const { database } = store
  // So that a batch has few of them.
  const large = 'x'.repeat(400_000)
  const host = makeHost(database)
  await host.open()
  for (const key of KEYS) await host.coordinate({ ...write(id(key), content(large)), partition: homeOf(key) })
  const counts = (await database.keys({ ...BINARY, ...COUNT_RANGE }).nextv(100)).map((key) => ({ key }))
  expect(counts.length).toBeGreaterThan(0)
  const batch = database.batch.bind(database)
  let batches = 0
  database.batch = async (operations, options) => {
    const moves = operations.length > 20
    if (moves) batches += 1
    if (moves && batches === 3) throw new Error('no room')
    await batch(operations, options)
  }
  const damaged = counts.map(({ key }) => ({ type: 'put', key, value: new Uint8Array(9) }) as const)
  await batch(damaged, { ...BINARY, sync: true })
  await expect(host.refile(16)).rejects.toMatchObject({ code: 'ATOLL_STORAGE' })
  database.batch = batch
  await host.refile(16)
  await host.counted
  await expectCounts(host)
  await host.close()
  store.dispose()
})
