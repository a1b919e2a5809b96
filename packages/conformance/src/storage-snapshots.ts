import assert from 'node:assert/strict'
import { checkStorage } from '@atoll/core'
import type { StorageSubject, StorageTests } from './storage.ts'

/** A fold over a vnode reads one moment, while writes go on. */
export const snapshotTests: StorageTests = {
  async 'is what a node asks for: abstract-level 2 or 3, snapshots, binary keys and values'(subject) {
    const { db } = await filled(subject)
    checkStorage(db)
    await db.close()
  },

  async 'reads through a snapshot what was there when it was made'(subject) {
    const { db, sub } = await filled(subject)
    if (!db.supports.explicitSnapshots) return db.close()
    const before = db.snapshot()
    await sub.batch([
      { type: 'put', key: 'a', value: 'new' },
      { type: 'del', key: 'b' },
      { type: 'put', key: 'd', value: 'new' },
    ])
    const between = db.snapshot()
    await sub.clear()

    assert.deepEqual(await sub.iterator({ snapshot: before }).all(), [
      ['a', 'old'],
      ['b', 'old'],
      ['c', 'old'],
    ])
    assert.deepEqual(await sub.iterator({ snapshot: between }).all(), [
      ['a', 'new'],
      ['c', 'old'],
      ['d', 'new'],
    ])
    assert.deepEqual(await sub.keys().all(), [])
    assert.equal(await sub.get('b', { snapshot: before }), 'old')
    assert.deepEqual(await sub.getMany(['a', 'b', 'd'], { snapshot: between }), ['new', undefined, 'new'])

    await before.close()
    assert.equal(await sub.get('d', { snapshot: between }), 'new')
    await assert.rejects(sub.get('a', { snapshot: before }), { code: 'LEVEL_SNAPSHOT_NOT_OPEN' })
    await between.close()
    await db.close()
  },

  async 'folds a snapshot in pages while the keys change under it'(subject) {
    const { db, sub } = await filled(subject)
    const keys = Array.from({ length: 300 }, (_, at) => `k${`${at}`.padStart(3, '0')}`)
    await sub.batch(keys.map((key) => ({ type: 'put', key, value: 'old' })))
    if (!db.supports.explicitSnapshots) return db.close()
    const snapshot = db.snapshot()
    const seen: string[] = []
    for (let last = 'k'; ; ) {
      const page = await sub.iterator({ gt: last, limit: 50, snapshot }).all()
      for (const [key, value] of page) seen.push(`${key} ${value}`)
      const end = page.at(-1)
      if (end === undefined) break
      last = end[0]
      await sub.batch(keys.map((key, at) => ({ type: at % 2 === 0 ? 'del' : 'put', key, value: 'new' })))
    }
    assert.deepEqual(
      seen,
      keys.map((key) => `${key} old`),
    )
    await snapshot.close()
    await db.close()
  },

  async 'iterates over the moment at which the iterator was made'(subject) {
    const { db, sub } = await filled(subject)
    const iterator = sub.iterator()
    await sub.batch([
      { type: 'del', key: 'b' },
      { type: 'put', key: 'd', value: 'new' },
    ])
    assert.deepEqual(
      (await iterator.all()).map(([key]) => key),
      ['a', 'b', 'c'],
    )
    await db.close()
  },
}

async function filled(subject: StorageSubject) {
  const db = subject.create()
  await db.open()
  const sub = db.sublevel('data')
  await sub.batch(['a', 'b', 'c'].map((key) => ({ type: 'put', key, value: 'old' })))
  return { db, sub }
}
