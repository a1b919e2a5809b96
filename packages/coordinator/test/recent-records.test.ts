import { createHash } from 'node:crypto'
import { type StoredRecord, writeOnceRecord } from '@atoll/causality'
import { KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { RecentRecords } from '../src/recent-records.ts'

const sha1 = (data: Uint8Array) => createHash('sha1').update(data).digest()

function recordOf(bytes: number): StoredRecord {
  const value = new Uint8Array(bytes).fill(7)
  const content = { value, metadata: new Map(), tombstone: false, expiresAtMs: undefined, indexes: [] }
  return writeOnceRecord(content, 0, new Uint8Array(16))
}

/** How many of so many keys are known when each is read, in turn, for the third time. */
function knownInThirdTurn(keys: number, record: StoredRecord, maxBytes: number): number {
  const recent = new RecentRecords(maxBytes, sha1)
  const names = Array.from({ length: keys }, (_, n) => `key ${n}`)
  let known = 0
  for (const turn of [1, 2, 3]) {
    for (const name of names) {
      if (recent.get(name) === undefined) recent.read(name, record)
      else if (turn === 3) known += 1
    }
  }
  return known
}

test('what is read twice within what there is room for is known from then on', () => {
  // An entry counts for its value and a KiB more.
  expect(knownInThirdTurn(10, recordOf(4 * KiB), 100 * 5 * KiB)).toBe(10)
  expect(knownInThirdTurn(50, recordOf(4 * KiB), 100 * 5 * KiB)).toBe(50)
})

test('of what is read in turn, and has no room all together, nothing is copied', () => {
  const record = recordOf(4 * KiB)
  let copies = 0
  const [sibling] = record.siblings
  const counted: StoredRecord = {
    clock: record.clock,
    get siblings() {
      copies += 1
      return sibling === undefined ? [] : [sibling]
    },
  }
  const recent = new RecentRecords(100 * 5 * KiB, sha1)
  for (let n = 0; n < 1000; n++) recent.read(`key ${n % 250}`, counted)
  // Each read asks for its size alone.
  expect(copies).toBe(1000)
  expect(knownInThirdTurn(250, record, 100 * 5 * KiB)).toBe(0)
})

test('a copy is the reader’s own, and a record that was written takes the place of the one before', () => {
  const recent = new RecentRecords(100 * KiB, sha1)
  for (let turn = 0; turn < 2; turn++) recent.read('key', recordOf(10))
  const own = recent.get('key')?.record.siblings[0]?.value
  own?.fill(0)
  expect(recent.get('key')?.record.siblings[0]?.value[0]).toBe(7)
  recent.written('key', recordOf(20))
  expect(recent.get('key')?.record.siblings[0]?.value.length).toBe(20)
  recent.written('another', recordOf(20))
  expect(recent.get('another')).toBeUndefined()
})
