import assert from 'node:assert/strict'
import { compareBytes, MiB, toHex } from '@atoll/core'
import type { StorageSubject, StorageTests } from './storage.ts'
import { SYNC } from './sync.ts'

const BYTES = { keyEncoding: 'view', valueEncoding: 'view' } as const

/** The bytes at which text order, signed order and byte order differ, alone and as beginnings of each other. */
const EDGES = [0x00, 0x01, 0x21, 0x7e, 0x7f, 0x80, 0xc3, 0xff]
const KEYS = [
  ...EDGES.map((byte) => Uint8Array.of(byte)),
  ...EDGES.flatMap((first) => EDGES.map((second) => Uint8Array.of(first, second))),
]
const hexOf = (keys: readonly Uint8Array[]) => keys.map((key) => toHex(key))
const sorted = hexOf(KEYS.toSorted(compareBytes))

/** Keys are ordered as bytes, in a sublevel as in the whole. */
export const orderTests: StorageTests = {
  async 'iterates in the order of bytes, both ways'(subject) {
    const { db, sub } = await filled(subject)
    assert.deepEqual(hexOf(await sub.keys().all()), sorted)
    assert.deepEqual(hexOf(await sub.keys({ reverse: true }).all()), sorted.toReversed())
    await db.close()
  },

  async 'bounds a range at any key, inclusive and exclusive, with a limit'(subject) {
    const { db, sub } = await filled(subject)
    for (const bound of KEYS) {
      const hex = toHex(bound)
      const expected = {
        gte: sorted.filter((key) => key >= hex),
        gt: sorted.filter((key) => key > hex),
        lte: sorted.filter((key) => key <= hex).toReversed(),
        lt: sorted.filter((key) => key < hex).toReversed(),
      }
      assert.deepEqual(hexOf(await sub.keys({ gte: bound }).all()), expected.gte)
      assert.deepEqual(hexOf(await sub.keys({ gt: bound, limit: 3 }).all()), expected.gt.slice(0, 3))
      assert.deepEqual(hexOf(await sub.keys({ lte: bound, reverse: true }).all()), expected.lte)
      assert.deepEqual(
        hexOf(await sub.keys({ lt: bound, reverse: true, limit: 3 }).all()),
        expected.lt.slice(0, 3),
      )
    }
    await db.close()
  },

  async 'resumes a scan page by page after the last key'(subject) {
    const { db, sub } = await filled(subject)
    const seen: string[] = []
    for (let after: Uint8Array | undefined; ; ) {
      const range = after === undefined ? { limit: 7 } : { gt: after, limit: 7 }
      const page = await sub.keys(range).all()
      seen.push(...hexOf(page))
      after = page.at(-1)
      if (page.length < 7) break
    }
    assert.deepEqual(seen, sorted)
    await db.close()
  },

  async 'keeps neighbouring sublevels apart, also when one is cleared'(subject) {
    const { db, sub } = await filled(subject)
    const neighbours = [['v', '0016'], ['v', '0018'], ['v'], ['v', '00170']]
    for (const name of neighbours) {
      const neighbour = db.sublevel<Uint8Array, Uint8Array>(name, BYTES)
      await neighbour.put(Uint8Array.of(1), Uint8Array.of(2))
    }
    assert.deepEqual(hexOf(await sub.keys().all()), sorted)
    await sub.clear({ gte: Uint8Array.of(0x80) })
    assert.deepEqual(
      hexOf(await sub.keys().all()),
      sorted.filter((key) => key < '80'),
    )
    await sub.clear()
    assert.deepEqual(await sub.keys().all(), [])
    for (const name of neighbours) {
      const neighbour = db.sublevel<Uint8Array, Uint8Array>(name, BYTES)
      assert.deepEqual(Array.from((await neighbour.get(Uint8Array.of(1))) ?? []), [2])
    }
    await db.close()
  },
}

/** A block is 1 MiB at most by default, and may be set to 8. */
export const valueTests: StorageTests = Object.fromEntries(
  [0, 1, 4096, MiB, 8 * MiB].map((length) => [
    `returns a value of ${length} bytes as it was put`,
    async (subject: StorageSubject) => {
      const { db, sub } = await filled(subject)
      const value = pattern(length)
      await sub.put(Uint8Array.of(7), value, SYNC)
      const read = await sub.get(Uint8Array.of(7))
      assert.ok(read !== undefined && compareBytes(read, value) === 0)
      await db.close()
    },
  ]),
)

async function filled(subject: StorageSubject) {
  const db = subject.create()
  await db.open()
  const sub = db.sublevel<Uint8Array, Uint8Array>(['v', '0017'], BYTES)
  await sub.batch(KEYS.map((key) => ({ type: 'put', key, value: key })))
  return { db, sub }
}

function pattern(length: number): Uint8Array {
  const value = new Uint8Array(length)
  for (let at = 0, state = 1; at < length; at++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223
    value[at] = state >>> 24
  }
  return value
}
