import { KiB, utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { Committer } from '../src/committer.ts'
import { recordPuts } from '../src/record-puts.ts'
import { Sheets } from '../src/sheets.ts'
import { content, testRuntime } from './world.ts'

const PIECE = 60 * KiB

/** Takes room until the sheet is another one; answers what was taken of the one before. */
function fill(sheets: Sheets) {
  const first = sheets.take(PIECE)
  const taken = [first]
  for (;;) {
    const next = sheets.take(PIECE)
    if (next?.sheet !== first?.sheet) return { taken, next }
    taken.push(next)
  }
}

describe('sheets', () => {
  it('give every write room of its own', () => {
    const { taken, next } = fill(new Sheets())
    const places = [...taken, next].map(
      (one) => `${one?.room.buffer === next?.room.buffer} ${one?.room.byteOffset}`,
    )
    expect(new Set(places).size).toBe(places.length)
    for (const one of taken) expect(one?.room.length).toBe(PIECE)
  })

  it('are used again once all writes on them are on the disk, and not before', () => {
    const sheets = new Sheets()
    const { taken, next } = fill(sheets)
    const buffer = taken[0]?.room.buffer
    for (const { sheet } of taken.slice(1).flatMap((one) => one ?? [])) sheet.release()
    const second = fill(sheets)
    expect([next?.room.buffer, second.next?.room.buffer]).not.toContain(buffer)
    taken[0]?.sheet.release()
    expect(fill(sheets).next?.room.buffer).toBe(buffer)
  })

  it('are used again only when something else is written on', () => {
    const sheets = new Sheets()
    const one = sheets.take(PIECE)
    one?.sheet.release()
    expect(sheets.take(PIECE)?.room.byteOffset).toBe(PIECE)
  })

  it('have no room for what is large', () => {
    expect(new Sheets().take(65 * KiB)).toBeUndefined()
  })
})

describe('a record that is put together on a sheet', () => {
  const runtime = testRuntime()
  const { crc32 } = runtime.digest
  const sibling = { ...content('value'), dot: { actor: '00000000000000aa', counter: 1 }, timestampMs: 5 }
  const writeId = new Uint8Array(16)
  const siblings = [{ ...sibling, valueCrc32: crc32(sibling.value), writeId }]
  const record = { clock: new Map([['00000000000000aa', 1]]), siblings }
  const put = { key: utf8('key'), record, before: { bytes: 0, bodyBytes: 0 } }
  const database = {}

  it('has the same bytes as one in an array of its own', () => {
    const means = { runtime, database, inlineBytes: KiB }
    const apart = recordPuts(put, means)
    const onSheet = recordPuts(put, { ...means, sheets: new Sheets() })
    expect(apart.sheet).toBeUndefined()
    expect(onSheet.sheet).toBeDefined()
    expect(onSheet.operations).toEqual(apart.operations)
    expect(onSheet.bytes).toBe(apart.bytes)
  })

  it.each([
    ['is', undefined, true],
    ['is never', new Error('the disk is gone'), false],
  ] as const)('%s told of when its batch ends with %s', async (_is, error, isReleased) => {
    const { clock, metrics } = runtime
    const sheets = new Sheets()
    const { taken } = fill(sheets)
    const buffer = taken[0]?.room.buffer
    const committer = new Committer(
      {
        database: { batch: () => (error === undefined ? Promise.resolve() : Promise.reject(error)) },
        clock,
        metrics,
        onFailed: () => {},
        onDone: () => {},
        counters: { queued: () => {}, take: () => [] },
        reload: async () => {},
      },
      { batchOperations: 100, batchBytes: 1000 },
    )
    const operation = { type: 'put', key: utf8('key'), value: utf8('value') } as const
    const written = taken.map((one) => committer.commit([operation], undefined, { sheet: one?.sheet }))
    await Promise.allSettled(written)
    expect(fill(sheets).next?.room.buffer === buffer).toBe(isReleased)
  })
})
