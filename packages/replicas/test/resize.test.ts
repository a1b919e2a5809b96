import { type KeyId, utf8 } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import type { ScanRequest, VnodeHost } from '@atoll/vnode'
import { describe, expect, test } from 'vitest'
import { expectCounts } from '../../vnode/test/counts.ts'
import { content, id, makeHost, memoryStore, testRuntime, valuesOf, write } from '../../vnode/test/world.ts'
import { type Ownership, VnodeReplicas } from '../src/index.ts'

const { sha1 } = testRuntime().digest
const KEYS = Array.from({ length: 80 }, (_, at) => `k${String(at).padStart(3, '0')}`)
const slot = (key: KeyId, partitions: number) => partitionOf(key, partitions, sha1)
const OPTIONS = { timeoutMs: 100 }
/** The ring has 32 partitions since this epoch; before it had 8. */
const SINCE = 5

function indexed(text: string) {
  const indexes = [{ index: 'list', scope: utf8('s'), term: utf8(text), payload: utf8(text) }]
  return content(text, { indexes })
}

/** A host of 8 partitions with a record of every key. */
async function filledHost(store = memoryStore()) {
  const host = makeHost(store.database)
  await host.open()
  for (const key of KEYS) await host.coordinate(write(id(key), indexed(key), slot(id(key), 8)))
  return { host, store }
}

/** As the coordinator of a node asks that knows the ring of 8 or of 32 partitions, in the epoch of its document. */
function asker(host: VnodeHost, epoch = SINCE + 1) {
  const partitions = epoch >= SINCE ? 32 : 8
  const ownership = (): Ownership => ({
    epoch,
    ring: { partitions, since: epoch >= SINCE ? SINCE : 0 },
    ownerOf: () => 'n1',
  })
  const call = () => Promise.reject(new Error('nobody else is asked'))
  const endpoint = { call, openStream: call, capabilitiesOf: () => undefined }
  const replicas = new VnodeReplicas({ node: 'n1', host, endpoint, ownership })
  return { replicas }
}

/** Rings by which a request may go, with an epoch in which it does. */
const ASKED = [
  { by: 8, epoch: SINCE - 1 },
  { by: 32, epoch: SINCE },
  { by: 32, epoch: SINCE + 3 },
] as const

function scanOf(by: number, slices: readonly number[]): ScanRequest {
  return {
    vnodes: slices.map((slice) => ({ partition: slice, slices: [slice] })),
    partitions: by,
    type: 'default',
    index: 'list',
    scope: utf8('s'),
    from: undefined,
    to: undefined,
    after: undefined,
    limit: 10_000,
  }
}

async function expectAll(host: VnodeHost, documents = [SINCE - 1, SINCE + 1]) {
  for (const document of documents) {
    const { replicas } = asker(host, document)
    for (const { by, epoch } of ASKED) {
      for (const key of KEYS) {
        const target = { node: 'n1', partition: slot(id(key), by), epoch }
        expect(valuesOf((await replicas.get(target, id(key), OPTIONS)).record)).toEqual([key])
      }
      const all = Array.from({ length: by }, (_, at) => at)
      for (const slices of [all, all.slice(3, 7), [0], [by - 1, 1]]) {
        const { entries, done } = await replicas.scan('n1', { ...scanOf(by, slices), epoch }, OPTIONS)
        const expected = KEYS.filter((key) => slices.includes(slot(id(key), by)))
        expect(entries.map(({ key }) => Buffer.from(key).toString())).toEqual(expected)
        expect(entries.map(({ slice }) => slice)).toEqual(expected.map((key) => slot(id(key), by)))
        expect(done).toBe(true)
      }
    }
  }
}

describe('a ring that gets more partitions', () => {
  test('is served by either number of them, before and after the records are filed anew', async () => {
    const { host } = await filledHost()
    await expectAll(host)
    await host.refile(32)
    expect(host.filed).toBe(32)
    await expectAll(host)
    const held = await host.partitions()
    expect(held.length).toBeGreaterThan(20)
    for (const partition of held) {
      for await (const { id: found } of host.fold(partition)) expect(slot(found, 32)).toBe(partition)
    }
    await expectCounts(host)
    await host.close()
  })

  test('has every write where its key is looked for, by whatever number it came', async () => {
    const { host } = await filledHost()
    const ids = ASKED.map(({ epoch }) => id(`new in ${epoch}`))
    const put = async (to: VnodeHost, text: string) => {
      for (const [at, { by, epoch }] of ASKED.entries()) {
        const key = ids[at] ?? id('')
        const { partition: _, id: __, ...what } = write(key, content(text))
        const target = { node: 'n1', partition: slot(key, by), epoch }
        await asker(to).replicas.coordinate(target, key, what, OPTIONS)
      }
    }
    await put(host, 'before')
    for (const key of ids)
      expect(await host.get({ partition: slot(key, 8), id: key })).toMatchObject({ record: {} })
    await host.refile(32)
    await put(host, 'after')
    for (const key of ids) {
      const { record } = await host.get({ partition: slot(key, 32), id: key })
      expect(valuesOf(record).sort()).toEqual(['after', 'before'])
    }
    await host.close()
  })

  test('is not answered for by a node that has not got, or no longer has, a part of what is asked', async () => {
    const { host } = await filledHost()
    const ownership = (): Ownership => ({
      epoch: SINCE + 1,
      ring: { partitions: 32, since: SINCE },
      ownerOf: (partition) => (partition === 6 ? 'n2' : 'n1'),
    })
    const call = () => Promise.reject(new Error('nobody else is asked'))
    const endpoint = { call, openStream: call, capabilitiesOf: () => undefined }
    const replicas = new VnodeReplicas({ node: 'n1', host, endpoint, ownership })
    const scan = (slice: number) => replicas.scan('n1', { ...scanOf(8, [slice]), epoch: 1 }, OPTIONS)
    // The second of 8 partitions ends where the eighth of 32 does.
    await expect(scan(2)).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: true })
    expect((await scan(3)).done).toBe(true)
    await host.close()
  })

  test('is not served while records are filed anew, and that waits for what is under way', async () => {
    const { host } = await filledHost()
    const early = KEYS.map((key) => host.get({ partition: slot(id(key), 8), id: id(key) }))
    const late = id('late')
    const writing = host.coordinate(write(late, content('late'), slot(late, 8)))
    const refiling = host.refile(32)
    const { replicas } = asker(host)
    const refused = { code: 'ATOLL_UNREACHABLE', definite: true, transient: true }
    const target = { node: 'n1', partition: slot(late, 32), epoch: SINCE }
    await expect(replicas.get(target, late, OPTIONS)).rejects.toMatchObject(refused)
    const scan = replicas.scan('n1', { ...scanOf(32, [1]), epoch: SINCE }, OPTIONS)
    await expect(scan).rejects.toMatchObject(refused)
    await refiling
    for (const [at, { record }] of (await Promise.all(early)).entries())
      expect(valuesOf(record)).toEqual([KEYS[at]])
    await writing
    expect(valuesOf((await replicas.get(target, late, OPTIONS)).record)).toEqual(['late'])
    await host.close()
  })

  test('loses nothing from under a read that takes its time', async () => {
    const { host, store } = await filledHost()
    const { database } = store
    Object.defineProperty(database, 'supports', { value: { ...database.supports, getSync: false } })
    const get = database.get
    let isFirst = true
    let goOn = () => {}
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    database.get = async (...parameters) => {
      if (isFirst) {
        isFirst = false
        await held
      }
      return get.apply(database, parameters)
    }
    const [key = ''] = KEYS
    const reading = host.get({ partition: slot(id(key), 8), id: id(key) })
    const refiling = host.refile(32)
    for (let turn = 0; turn < 300; turn++) await new Promise(setImmediate)
    expect(isFirst).toBe(false)
    goOn()
    expect(valuesOf((await reading).record)).toEqual([key])
    await refiling
    await host.close()
  })

  test('is gone on with after a crash at any write, and never less than before', async () => {
    for (let left = 0; ; left++) {
      const { host, store } = await filledHost()
      const failing = failAfter(store.database, left)
      const outcome = await host.refile(32).then(
        () => 'done',
        () => 'failed',
      )
      failing.stop()
      if (outcome === 'failed') {
        await expect(host.get({ partition: 1, id: id('k000') })).rejects.toThrow(/anew/)
        if (left % 2 === 0) await host.refile(32)
      }
      await host.close()
      const again = makeHost(store.again(), testRuntime(), { partitions: 32 })
      await again.open()
      await expectAll(again, [SINCE + 1])
      await again.counted
      await expectCounts(again, `after ${left} writes`)
      await again.close()
      if (outcome === 'done') {
        expect(left).toBeGreaterThan(8)
        return
      }
    }
  })

  test('cannot get fewer, nor any other number, nor while a partition is handed over', async () => {
    const { host } = await filledHost()
    await expect(host.refile(12)).rejects.toThrow(RangeError)
    await host.refile(16)
    await expect(host.refile(8)).rejects.toThrow(/at least/)
    host.gates.set(3, { to: 'n2', phase: 'copying', isReturn: false })
    await expect(host.refile(32)).rejects.toMatchObject({ code: 'ATOLL_CHANGE_REFUSED' })
    await host.close()
  })
})

/** Lets so many batches pass. */
function failAfter(database: ReturnType<typeof memoryStore>['database'], batches: number) {
  const batch = database.batch
  let left = batches
  database.batch = (...parameters) => {
    left -= 1
    return left < 0 ? Promise.reject(new Error('no disk')) : batch.apply(database, parameters)
  }
  return {
    stop: () => {
      database.batch = batch
    },
  }
}
