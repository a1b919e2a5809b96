import assert from 'node:assert/strict'
import type { StorageSubject, StorageTests, TestedDatabase } from './storage.ts'
import { NO_SYNC, SYNC } from './sync.ts'

const NAMES = ['data', 'tree', 'index', 'meta']

const sublevels = (db: TestedDatabase) => NAMES.map((name) => db.sublevel(['v', '0017', name]))

/** One batch is one step, over however many sublevels. */
export const batchTests: StorageTests = {
  async 'writes one batch to several sublevels, with sync'(subject) {
    const { db, subs } = await opened(subject)
    await db.batch(
      subs.map((sublevel, at) => ({ type: 'put', sublevel, key: 'key', value: `${at}` })),
      SYNC,
    )
    assert.deepEqual(await Promise.all(subs.map((sub) => sub.get('key'))), ['0', '1', '2', '3'])
    await db.batch(
      subs.map((sublevel, at) => ({ type: at === 0 ? 'put' : 'del', sublevel, key: 'key', value: 'new' })),
      SYNC,
    )
    assert.deepEqual(await Promise.all(subs.map((sub) => sub.get('key'))), [
      'new',
      undefined,
      undefined,
      undefined,
    ])
    await db.close()
  },

  async 'shows all of a batch or nothing'(subject) {
    const { db, subs } = await opened(subject)
    const write = async (round: number) => {
      await db.batch(subs.map((sublevel) => ({ type: 'put', sublevel, key: 'round', value: `${round}` })))
    }
    await write(0)
    let writing = true
    const writer = (async () => {
      for (let round = 1; round <= 50; round++) await write(round)
    })().finally(() => {
      writing = false
    })
    while (writing) {
      const snapshot = db.snapshot()
      const rounds = await Promise.all(subs.map((sub) => sub.get('round', { snapshot })))
      await snapshot.close()
      assert.equal(new Set(rounds).size, 1, `one batch was seen in part: ${rounds.join()}`)
      // A database in memory answers without leaving the turn, in which a disk would never come to write.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await writer
    assert.equal(await subs[3]?.get('round'), '50')
    await db.close()
  },

  async 'applies the operations of a batch in their order'(subject) {
    const { db, subs } = await opened(subject)
    const [sub = db] = subs
    await sub.batch([
      { type: 'put', key: 'a', value: '1' },
      { type: 'put', key: 'b', value: '1' },
      { type: 'del', key: 'a' },
      { type: 'put', key: 'b', value: '2' },
      { type: 'del', key: 'c' },
      { type: 'put', key: 'c', value: '3' },
    ])
    assert.deepEqual(await sub.getMany(['a', 'b', 'c']), [undefined, '2', '3'])
    await db.close()
  },

  async 'changes nothing by a batch that is refused'(subject) {
    const { db, subs } = await opened(subject)
    const [sub = db] = subs
    await sub.put('a', 'before')
    const refused = sub.batch<string, string | null>(
      [
        { type: 'put', key: 'a', value: 'after' },
        { type: 'put', key: 'b', value: null },
      ],
      {},
    )
    await assert.rejects(refused, { code: 'LEVEL_INVALID_VALUE' })
    assert.deepEqual(await sub.getMany(['a', 'b']), ['before', undefined])
    await db.close()
  },

  async 'accepts sync for every kind of write, and through a sublevel'(subject) {
    const { db, subs } = await opened(subject)
    const [sub = db] = subs
    await db.put('root', '1', SYNC)
    await sub.put('a', '1', SYNC)
    await sub.put('b', '1', NO_SYNC)
    await sub.del('b', SYNC)
    await sub.batch([{ type: 'put', key: 'c', value: '1' }], SYNC)
    await sub.batch().put('d', '1').write(SYNC)
    assert.deepEqual(await sub.keys().all(), ['a', 'c', 'd'])
    await db.close()
  },

  async 'copes with many operations in flight'(subject) {
    const { db, subs } = await opened(subject)
    const [sub = db] = subs
    const keys = Array.from({ length: 500 }, (_, at) => `key ${at}`)
    await Promise.all(keys.map((key) => sub.put(key, key)))
    assert.deepEqual(await Promise.all(keys.map((key) => sub.get(key))), keys)
    assert.deepEqual(await sub.getMany(keys), keys)
    await db.close()
  },
}

async function opened(subject: StorageSubject) {
  const db = subject.create()
  await db.open()
  return { db, subs: sublevels(db) }
}
