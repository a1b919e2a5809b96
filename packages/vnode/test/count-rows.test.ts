import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { fromHex, toHex, utf8 } from '@atoll/core'
import { expect, it } from 'vitest'
import { keptRow, pageRow, readCountRow, SLIPS, slipRow } from '../src/count-rows.ts'
import type { Operation } from '../src/ports.ts'

const counts = { records: 3, bytes: 4_294_967_297, tombstones: 1 }
const ROWS = {
  page: pageRow({ partition: 17, sequence: 5000, counts: new Map([['default', counts]]) }, crc32),
  unknown: pageRow({ partition: 17, sequence: 5000, counts: undefined }, crc32),
  slip: slipRow({ sequence: 5001, changed: [{ partition: 1023, type: 'blocks', ...counts }] }, crc32),
}

function bytesOf(operation: Operation): [Uint8Array, Uint8Array] {
  if (operation.type === 'del') throw new Error('a row is put')
  return [operation.key, operation.value]
}

it.each(Object.entries(ROWS))('a row of counts, %s, is read as it was written', async (name, operation) => {
  const [key, value] = bytesOf(operation)
  await expect(`${toHex(key)}\n${toHex(value)}\n`).toMatchFileSnapshot(`golden/count-${name}-v1.hex`)
  const row = readCountRow(key, value, crc32)
  if (row.kind === 'slip')
    expect(row.slip).toEqual({ sequence: 5001, changed: [{ partition: 1023, type: 'blocks', ...counts }] })
  if (row.kind === 'page')
    expect(row.page).toEqual({
      partition: 17,
      sequence: 5000,
      counts: name === 'page' ? new Map([['default', counts]]) : undefined,
    })
  const damaged = new Uint8Array(value)
  damaged[0] = (damaged[0] ?? 0) ^ 1
  const kind = row.kind === 'page' ? 'lost page' : 'lost'
  expect(readCountRow(key, damaged, crc32).kind).toBe(kind)
  expect(readCountRow(utf8('!meta!count!page!0018'), value, crc32)).toMatchObject({
    kind: 'lost page',
    partition: 18,
  })
})

it('the note that counts are kept says how far the pages go, and one of a build before does not', async () => {
  const mark = { pagedAt: 4_294_967_297, mostBytes: 7000 }
  const [key, value] = bytesOf(keptRow(mark, crc32))
  await expect(`${toHex(key)}\n${toHex(value)}\n`).toMatchFileSnapshot('golden/count-kept-v2.hex')
  expect(readCountRow(key, value, crc32)).toEqual({ key, kind: 'kept', mark })
  const [olderKey = '', older = ''] = readFileSync(
    new URL('golden/count-kept-v1.hex', import.meta.url),
    'utf8',
  ).split('\n')
  expect(olderKey).toBe(toHex(key))
  expect(readCountRow(key, fromHex(older), crc32)).toEqual({ key, kind: 'kept', mark: undefined })
})

it('the place of a slip comes back after as many batches as there are places', () => {
  const slip = (sequence: number) => toHex(slipRow({ sequence, changed: [] }, crc32).key)
  expect(slip(7)).toBe(slip(7 + SLIPS))
  expect(slip(7)).not.toBe(slip(8))
})
