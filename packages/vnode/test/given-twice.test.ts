import type { StoredRecord } from '@atoll/causality'
import { describe, expect, it } from 'vitest'
import type { VnodeHost } from '../src/index.ts'
import {
  content,
  id,
  makeHost,
  memoryStore,
  type TestRuntime,
  testRuntime,
  valuesOf,
  write,
} from './world.ts'

const KEY = id('k')
const COUNTER = 'atoll_vnode_dots_given_twice_total'

/** A vnode that has written "one", and a record of another write under the same dot. */
async function clash(runtime: TestRuntime): Promise<{ host: VnodeHost; other: StoredRecord }> {
  const host = makeHost(memoryStore().database, runtime)
  await host.open()
  const { record } = await host.coordinate(write(KEY, content('one')))
  const siblings = record.siblings.map((sibling) => ({
    ...sibling,
    ...content('two'),
    valueCrc32: write(KEY, content('two')).valueCrc32,
    writeId: new Uint8Array(16).fill(9),
  }))
  return { host, other: { ...record, siblings } }
}

describe('a record with a dot that stands for another write here', () => {
  it('is kept beside what is here, is told of, and the actor of the dot gives no more', async () => {
    const runtime = testRuntime()
    const { host, other } = await clash(runtime)
    const [actor] = other.clock.keys()
    const put = { partition: 1, id: KEY, record: other }
    expect(await host.put({ ...put, tellAlone: true, tellTwice: true })).toEqual({
      changed: true,
      alone: false,
      twice: [actor],
    })
    const { record } = await host.get({ partition: 1, id: KEY })
    expect(valuesOf(record).sort()).toEqual(['one', 'two'])
    expect(runtime.metrics.snapshot()).toContainEqual(expect.objectContaining({ name: COUNTER, value: 1 }))
    // Whoever does not ask, such as a node of before, is answered as ever.
    expect(await host.put(put)).toEqual({ changed: false })
    const next = await host.coordinate(write(id('l'), content('three')))
    expect(next.record.siblings[0]?.dot.actor).not.toBe(actor)
    await host.close()
  })

  it('makes a vnode a new actor also where it comes from those who have sorted it out', async () => {
    const runtime = testRuntime()
    const { host, other } = await clash(runtime)
    const elsewhere = makeHost(memoryStore().database)
    await elsewhere.open()
    const { record: own } = await host.get({ partition: 1, id: KEY })
    await elsewhere.put({ partition: 1, id: KEY, record: other })
    await elsewhere.put({ partition: 1, id: KEY, record: own! })
    const { record } = await elsewhere.get({ partition: 1, id: KEY })
    expect(await host.put({ partition: 1, id: KEY, record: record! })).toEqual({ changed: true })
    expect(valuesOf((await host.get({ partition: 1, id: KEY })).record).sort()).toEqual(['one', 'two'])
    const next = await host.coordinate(write(id('l'), content('three')))
    expect(next.record.siblings[0]?.dot.actor).not.toBe([...other.clock.keys()][0])
    await host.close()
    await elsewhere.close()
  })

  it('is not taken for what is here when records are moved', async () => {
    const { host, other } = await clash(testRuntime())
    const elsewhere = makeHost(memoryStore().database)
    await elsewhere.open()
    await elsewhere.put({ partition: 1, id: KEY, record: other })
    const limits = { pageRecords: 10, pageBytes: 10_000 }
    const [offered] = (await elsewhere.handoffOf(1).page(undefined, limits)).records
    expect(await elsewhere.handoffOf(1).holds(offered!)).toBe(true)
    expect(await host.handoffOf(1).holds(offered!)).toBe(false)
    expect(await host.handoffOf(1).remove(offered!)).toBe(false)
    // A node of before tells of clocks alone.
    expect(await host.handoffOf(1).holds({ id: KEY, digest: offered!.digest })).toBe(true)
    await host.close()
    await elsewhere.close()
  })
})
