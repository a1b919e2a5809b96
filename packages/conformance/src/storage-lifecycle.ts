import assert from 'node:assert/strict'
import type { PermanenceTests, StorageTests } from './storage.ts'
import { SYNC } from './sync.ts'

const NOT_OPEN = { code: 'LEVEL_DATABASE_NOT_OPEN' }

/** Closing is orderly, and what was written is there after opening again. */
export const lifecycleTests: StorageTests = {
  async 'closes more than once, and refuses work from then on'(subject) {
    const db = subject.create()
    await db.open()
    const sub = db.sublevel('data')
    await sub.put('a', '1')
    await Promise.all([db.close(), db.close()])
    await db.close()
    assert.equal(db.status, 'closed')
    await assert.rejects(db.get('a'), NOT_OPEN)
    await assert.rejects(sub.put('a', '2'), NOT_OPEN)
    await assert.rejects(sub.batch([{ type: 'del', key: 'a' }]), NOT_OPEN)
  },

  async 'lets a write that is in flight at close either happen or fail'(subject) {
    const db = subject.create()
    await db.open()
    const outcome = db.put('a', '1', SYNC).then(
      () => 'happened',
      () => 'failed',
    )
    await db.close()
    const settled = await outcome
    await db.open()
    if (settled === 'happened') assert.equal(await db.get('a'), '1')
    await db.close()
  },

  async 'closes with snapshots and iterators still open'(subject) {
    const db = subject.create()
    await db.open()
    await db.put('a', '1')
    const snapshot = db.snapshot()
    const iterator = db.iterator()
    assert.deepEqual(await iterator.next(), ['a', '1'])
    await db.close()
    await assert.rejects(iterator.next(), { code: 'LEVEL_ITERATOR_NOT_OPEN' })
    await snapshot.close()
  },

  async 'holds its entries when the same handle is opened again'(subject) {
    const db = subject.create()
    await db.open()
    await db.sublevel('data').put('a', '1', SYNC)
    await db.close()
    await db.open()
    assert.equal(await db.sublevel('data').get('a'), '1')
    await db.close()
  },
}

/** For a database that outlives the handle. */
export const permanenceTests: PermanenceTests = {
  async 'holds its entries when another handle is opened on the same place'({ create, reopen }) {
    const first = create()
    await first.open()
    await first.sublevel('data').put('a', '1', SYNC)
    await first.sublevel('data').put('b', '2')
    await first.close()
    const second = reopen(first)
    await second.open()
    assert.deepEqual(await second.sublevel('data').iterator().all(), [
      ['a', '1'],
      ['b', '2'],
    ])
    await second.close()
  },
}
