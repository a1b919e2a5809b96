import { readFileSync, writeFileSync } from 'node:fs'
import { type KeyId, toHex, utf8 } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { afterEach, describe, expect, it, test } from 'vitest'
import { hintPrefix, parseHintKey } from '../src/hint-layout.ts'
import type { VnodeHost } from '../src/index.ts'
import { nameBytesOf, VnodeLayout } from '../src/layout.ts'
import { seal } from '../src/seal.ts'
import {
  classicStore,
  content,
  id,
  makeHost,
  memoryStore,
  STORES,
  type TestStore,
  testRuntime,
  write,
} from './world.ts'

const PLACE = { partition: 1, node: 'n3' }
const { crc32 } = testRuntime().digest
const stores: TestStore[] = []

function opened(make: () => TestStore): TestStore {
  const store = make()
  stores.push(store)
  return store
}

afterEach(() => {
  for (const store of stores.splice(0)) store.dispose()
})

const missed = (key: KeyId, partition = 1) => ({ ...write(key, content('v'), partition), hintFor: ['n3'] })

function owed(host: VnodeHost) {
  return host.hints
    .all()
    .map(({ node, partition, keys, isWhole }) => `${node} ${partition}: ${isWhole ? 'all' : keys}`)
}

describe.each(STORES)('what another holder missed, on %s', (_name, make) => {
  it('is noted with the record, once for each key, and is known after a restart', async () => {
    const store = opened(make)
    const host = makeHost(store.database)
    await host.open()
    for (const key of ['a', 'b', 'a', 'a']) await host.coordinate(missed(id(key)))
    await host.coordinate(write(id('c'), content('here')))
    const { record } = await host.coordinate(write(id('d'), content('later')))
    await host.put({ partition: 1, id: id('d'), record, hintFor: ['n3', 'n4'] })
    await host.hint({ partition: 2, id: id('e'), hintFor: ['n4'] })
    const all = ['n3 1: 3', 'n4 1: 1', 'n4 2: 1']
    expect(owed(host).sort()).toEqual(all)
    await host.close()
    const again = makeHost(store.again())
    await again.open()
    expect(owed(again).sort()).toEqual(all)
    await again.close()
  })

  it('is the whole partition past so many keys, also after a restart', async () => {
    const store = opened(make)
    const options = { hintKeys: 3 }
    const host = makeHost(store.database, testRuntime(), options)
    await host.open()
    for (const key of ['a', 'b', 'c', 'a']) await host.coordinate(missed(id(key)))
    expect(owed(host)).toEqual(['n3 1: 3'])
    await host.coordinate(missed(id('d')))
    expect(owed(host)).toEqual(['n3 1: all'])
    for (const key of ['e', 'f', 'g', 'h', 'i']) await host.coordinate(missed(id(key)))
    await host.coordinate(missed(id('k'), 2))
    expect(owed(host).sort()).toEqual(['n3 1: all', 'n3 2: 1'])
    await host.close()
    const again = makeHost(store.again(), testRuntime(), options)
    await again.open()
    // Behind the whole the keys that were noted before lie there still, and do no harm.
    expect(owed(again).sort()).toEqual(['n3 1: all', 'n3 2: 1'])
    await again.close()
  })

  it('is all that a partition has become when the ring got more of them', async () => {
    const store = opened(make)
    const host = makeHost(store.database)
    await host.open()
    const key = id('a')
    const partition = partitionOf(key, 8)
    await host.coordinate(missed(key, partition))
    await host.refile(16)
    const owing = [(2 * partition + 15) % 16, (2 * partition) % 16].map((part) => `n3 ${part}: all`)
    expect(owed(host).sort()).toEqual(owing.sort())
    await host.close()
    const again = makeHost(store.again(), testRuntime(), { partitions: 32 })
    await again.open()
    expect(owed(again)).toHaveLength(4)
    await again.close()
  })

  it('goes with a partition that is dropped', async () => {
    const store = opened(make)
    const host = makeHost(store.database)
    await host.open()
    await host.coordinate(missed(id('a')))
    await host.coordinate(missed(id('a'), 2))
    await host.drop(1)
    expect(owed(host)).toEqual(['n3 2: 1'])
    await host.close()
    const again = makeHost(store.again())
    await again.open()
    expect(owed(again)).toEqual(['n3 2: 1'])
    await again.close()
  })
})

test('what is missed of a partition that is owed as a whole is noted when the disk says so, and not before', async () => {
  const store = opened(memoryStore)
  const host = makeHost(store.database, testRuntime(), { hintKeys: 1 })
  await host.open()
  const { record } = await host.coordinate(write(id('there'), content('there already')))
  await host.coordinate(missed(id('a')))
  // From here on nothing comes to the disk.
  const batch = store.database.batch.bind(store.database)
  let openGate = () => {}
  const gate = new Promise<void>((resolve) => {
    openGate = resolve
  })
  store.database.batch = async (...request) => {
    await gate
    return batch(...request)
  }
  const heard: string[] = []
  const hear = (name: string, writing: Promise<unknown>) => writing.then(() => void heard.push(name))
  const all = [hear('past the limit', host.coordinate(missed(id('b'))))]
  await new Promise((resolve) => setImmediate(resolve))
  expect(owed(host)).toEqual(['n3 1: all'])
  all.push(hear('a note alone', host.hint({ partition: 1, id: id('c'), hintFor: ['n3'] })))
  const put = { partition: 1, id: id('there'), record, hintFor: ['n3'] }
  all.push(hear('of what is there', host.put(put)))
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve))
  expect(heard).toEqual([])
  openGate()
  await Promise.all(all)
  expect(heard).toHaveLength(3)
  await host.close()
})

test('that a whole partition is owed is said again with what is missed after a batch that failed', async () => {
  const store = opened(memoryStore)
  const host = makeHost(store.database, testRuntime(), { hintKeys: 1 })
  await host.open()
  await host.coordinate(missed(id('a')))
  const batch = store.database.batch.bind(store.database)
  store.database.batch = () => Promise.reject(new Error('the disk is full'))
  await expect(host.coordinate(missed(id('b')))).rejects.toMatchObject({ code: 'ATOLL_STORAGE' })
  store.database.batch = batch
  await host.hint({ partition: 1, id: id('c'), hintFor: ['n3'] })
  await host.close()
  const again = makeHost(store.again())
  await again.open()
  expect(owed(again)).toEqual(['n3 1: all'])
  await again.close()
})

test('a damaged note of a whole partition says which partition, and that is enough', async () => {
  const store = opened(classicStore)
  const { database } = store
  const host = makeHost(database)
  await host.open()
  const key = hintPrefix(PLACE, 8)
  const value = seal(key, utf8('0123456789ab'), crc32).with(2, 0x7f)
  await database.batch([{ type: 'put', key, value }], {
    keyEncoding: 'view',
    valueEncoding: 'view',
    sync: true,
  })
  await host.close()
  const runtime = testRuntime()
  const again = makeHost(store.again(), runtime)
  await again.open()
  expect(owed(again)).toEqual(['n3 1: all'])
  expect(runtime.metrics.value('atoll_vnode_corrupt_notes_total')).toBe(1)
  await again.close()
})

test('hints lie where they always lay, under the key of the record', async () => {
  const store = opened(memoryStore)
  const host = makeHost(store.database)
  await host.open()
  await host.coordinate(missed(id('k')))
  const range = host.hints.rangeOf(PLACE)
  const iterator = store.database.keys({ keyEncoding: 'view', valueEncoding: 'view', ...range })
  const [key = new Uint8Array(0)] = await iterator.nextv(2)
  await iterator.close()
  const path = new URL('golden/hint-key-v1.hex', import.meta.url)
  if (process.env['ATOLL_GOLDEN'] === 'write') writeFileSync(path, `${toHex(key)}\n`)
  expect(toHex(key)).toBe(readFileSync(path, 'utf8').trim())
  expect(Buffer.from(key).toString('latin1')).toMatch(/^!meta!hint!00080001n3!default/)
  const layout = new VnodeLayout(1)
  const { name, ...place } = parseHintKey(key)
  expect(place).toEqual({ ...PLACE, partitions: 8 })
  expect(toHex(name)).toBe(toHex(nameBytesOf(layout.dataKey(id('k')))))
  await host.close()
})
