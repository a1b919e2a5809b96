import { readFileSync, writeFileSync } from 'node:fs'
import { fromHex, toHex, utf8 } from '@atoll/core'
import { expect, it } from 'vitest'
import {
  openCursor,
  openTransfer,
  packCursor,
  packTransfer,
  type TransferNote,
} from '../src/handoff-notes.ts'
import { nameBytesOf, VnodeLayout } from '../src/layout.ts'
import { id, testRuntime } from './world.ts'

const { crc32 } = testRuntime().digest
const ONE = new VnodeLayout(1)
/** As a build before has written it: then heads lay by their names. */
const CURSOR = nameBytesOf(ONE.dataKey(id('k')))

const NOTES: Record<string, TransferNote> = {
  'transfer-note-copy': { to: 'n2', phase: 'copy', cursor: CURSOR, isReturn: false },
  'transfer-note-sealed': { to: 'n2', phase: 'sealed', cursor: undefined, isReturn: false },
  'transfer-note-return': { to: 'n1', phase: 'catch-up', cursor: undefined, isReturn: true },
}

function golden(name: string, bytes: Uint8Array): Uint8Array {
  const path = new URL(`golden/${name}-v1.hex`, import.meta.url)
  if (process.env['ATOLL_GOLDEN'] === 'write') writeFileSync(path, `${toHex(bytes)}\n`)
  return fromHex(readFileSync(path, 'utf8').trim())
}

it.each(Object.entries(NOTES))('is written as ever: %s', (name, note) => {
  const bytes = packTransfer(ONE.transferKey, note, crc32)
  const stored = golden(name, bytes)
  expect(toHex(bytes)).toBe(toHex(stored))
  expect(openTransfer(ONE.transferKey, stored, crc32)).toEqual(note)
})

it('the cursor of a refill is written as ever, under its name', () => {
  const key = ONE.refillKey('r1')
  expect(Buffer.from(key).toString()).toBe('!0001!!meta!refill r1')
  const bytes = packCursor(key, CURSOR, crc32)
  const stored = golden('refill-note', bytes)
  expect(toHex(bytes)).toBe(toHex(stored))
  expect(openCursor(key, stored, crc32)).toEqual(CURSOR)
})

it('a damaged note is none, and a newer one is refused', () => {
  const key = ONE.transferKey
  const stored = packTransfer(key, NOTES['transfer-note-copy']!, crc32)
  expect(openTransfer(key, stored.with(3, 0x7f), crc32)).toBeUndefined()
  const newer = stored.with(0, 9)
  new DataView(newer.buffer).setUint32(newer.length - 4, crc32(newer.subarray(0, -4), crc32(key)))
  expect(() => openTransfer(key, newer, crc32)).toThrow(expect.objectContaining({ code: 'ATOLL_FORMAT' }))
})

it('a change is noted behind another prefix, under the key of its record', () => {
  const dataKey = ONE.dataKey(id('k'))
  expect(Buffer.from(ONE.transferKey).toString()).toBe('!0001!!meta!transfer')
  expect(ONE.noteKey(dataKey).subarray(0, 13)).toEqual(utf8('!0001!!notes!'))
  expect(ONE.dataKeyOf(ONE.noteKey(dataKey))).toEqual(dataKey)
})
