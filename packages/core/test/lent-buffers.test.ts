import { expect, test } from 'vitest'
import { KiB, MiB } from '../src/index.ts'
import { anotherCopy } from './another-copy.ts'
import './poison.ts'

/** As a program has it. The tests lend by stricter rules. */
const { borrowBuffer, keepBuffer, returnBuffer } = await anotherCopy()

const viewOf = (buffer: ArrayBuffer) => new Uint8Array(buffer)

test('what comes back is lent again, to whoever needs about as much', () => {
  const first = borrowBuffer(700 * KiB)
  returnBuffer(viewOf(first).subarray(10, 20))
  const second = borrowBuffer(700 * KiB - 100)
  expect(second).toBe(first)
  expect(second.byteLength).toBeGreaterThanOrEqual(700 * KiB)
  expect(second.byteLength).toBeLessThan(800 * KiB)
  expect(borrowBuffer(700 * KiB)).not.toBe(first)
})

test('nothing is lent to two', () => {
  const first = borrowBuffer(600 * KiB)
  returnBuffer(viewOf(first))
  returnBuffer(viewOf(first))
  const lent = [borrowBuffer(600 * KiB), borrowBuffer(600 * KiB), borrowBuffer(600 * KiB)]
  expect(new Set(lent).size).toBe(3)
})

test('what was kept stays with whoever keeps it', () => {
  const first = borrowBuffer(500 * KiB)
  keepBuffer(viewOf(first))
  returnBuffer(viewOf(first))
  expect(borrowBuffer(500 * KiB)).not.toBe(first)
})

test('what was never lent, is small, or went to another thread is left alone', () => {
  const own = new ArrayBuffer(512 * KiB)
  returnBuffer(viewOf(own))
  expect(borrowBuffer(512 * KiB)).not.toBe(own)
  const small = borrowBuffer(4 * KiB)
  expect(small.byteLength).toBe(4 * KiB)
  returnBuffer(viewOf(small))
  expect(borrowBuffer(4 * KiB)).not.toBe(small)
  const sent = viewOf(borrowBuffer(400 * KiB))
  structuredClone(sent.buffer, { transfer: [sent.buffer] })
  returnBuffer(sent)
  expect(borrowBuffer(400 * KiB).byteLength).toBeGreaterThanOrEqual(400 * KiB)
})

test('at most 32 MiB lie idle: those that came back first go', () => {
  const lent = Array.from({ length: 40 }, () => borrowBuffer(MiB))
  for (const buffer of lent) returnBuffer(viewOf(buffer))
  const again = Array.from({ length: 40 }, () => borrowBuffer(MiB))
  expect(again.filter((buffer) => lent.includes(buffer))).toEqual(lent.slice(-32).reverse())
})

test('where returned arrays are poisoned, those of any size are lent, and nothing is left in them', async () => {
  const strict = await anotherCopy()
  strict.poisonReturned()
  for (const bytes of [1, 5, 100, 4 * KiB + 1, 700 * KiB]) {
    const view = viewOf(strict.borrowBuffer(bytes)).fill(7)
    strict.returnBuffer(view)
    expect(new Set(view)).toEqual(new Set([0xdd]))
    expect(strict.borrowBuffer(bytes)).toBe(view.buffer)
    const kept = viewOf(strict.borrowBuffer(bytes)).fill(7)
    strict.keepBuffer(kept)
    strict.returnBuffer(kept)
    expect(new Set(kept)).toEqual(new Set([7]))
  }
  expect(strict.borrowBuffer(0).byteLength).toBe(0)
  const other = viewOf(borrowBuffer(700 * KiB)).fill(7)
  returnBuffer(other)
  expect(new Set(other)).toEqual(new Set([7]))
})
