import { partitionOf } from '@atoll/ring'
import { expect, test } from 'vitest'
import { BINARY, CONVERTED, noteFormat } from '../src/database.ts'
import { packTransfer, type TransferNote } from '../src/handoff-notes.ts'
import { VnodeLayout } from '../src/layout.ts'
import { content, id, makeHost, memoryStore, type TestStore, testRuntime, valuesOf, write } from './world.ts'

const { digest } = testRuntime()
const KEYS = Array.from({ length: 40 }, (_, at) => `k${at}`)
const SEALED: TransferNote = { to: 'n5', phase: 'sealed', cursor: undefined, isReturn: false }
const WIDER = { partitions: 16 }

async function filedBy8(): Promise<TestStore> {
  const store = memoryStore()
  const host = makeHost(store.database)
  await host.open()
  for (const key of KEYS)
    await host.coordinate({
      ...write(id(key), content(key)),
      partition: partitionOf(id(key), 8, digest.sha1),
    })
  await host.handoffOf(1).saveTransfer(SEALED)
  await host.close()
  return store
}

async function expectAllBy(store: TestStore, partitions: number): Promise<void> {
  const host = makeHost(store.again(), testRuntime(), { partitions })
  await host.open()
  expect(host.filed).toBe(partitions)
  expect(host.gates.all().size).toBe(0)
  for (const key of KEYS) {
    const partition = partitionOf(id(key), partitions, digest.sha1)
    expect(valuesOf((await host.get({ partition, id: id(key) })).record)).toEqual([key])
  }
  await host.close()
}

test('what was handed over by a ring before is so until that is settled, and the records are filed by that ring', async () => {
  const store = await filedBy8()
  for (let opens = 0; opens < 2; opens++) {
    const host = makeHost(store.again(), testRuntime(), WIDER)
    await host.open()
    expect(host.filed).toBe(8)
    expect([...host.gates.all()]).toEqual([[1, { to: 'n5', phase: 'resealing', isReturn: false }]])
    await expect(host.refile(16)).rejects.toMatchObject({ code: 'ATOLL_CHANGE_REFUSED', transient: true })
    await host.close()
  }
  const host = makeHost(store.again(), testRuntime(), WIDER)
  await host.open()
  await host.handoffOf(1).forgetTransfer()
  host.gates.remove(1)
  await host.refile(16)
  expect(host.filed).toBe(16)
  await host.close()
  await expectAllBy(store, 16)
  store.dispose()
})

test('records are filed anew at the open where nothing was being handed over, or nobody knows what', async () => {
  const store = await filedBy8()
  const { database } = store
  await database.open()
  // A damaged note is one of a transfer that begins anew.
  const key = new VnodeLayout(1).transferKey
  const value = packTransfer(key, SEALED, digest.crc32).with(3, 0x7f)
  await database.batch([{ type: 'put', key, value }], { ...BINARY, sync: true })
  await database.close()
  await expectAllBy(store, 16)
  store.dispose()
})

test('a note of the ring before goes where a build before has begun to file the records in spite of it', async () => {
  const store = await filedBy8()
  const { database } = store
  await database.open()
  await noteFormat(database, { node: 'n1', partitions: 16, ...CONVERTED, filedByKey: false }, digest.crc32)
  await database.close()
  await expectAllBy(store, 16)
  await database.open()
  expect(await database.get(new VnodeLayout(1).transferKey, BINARY)).toBeUndefined()
  await database.close()
  store.dispose()
})
