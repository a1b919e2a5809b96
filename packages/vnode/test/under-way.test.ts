import { expect, test } from 'vitest'
import { UnderWay } from '../src/under-way.ts'

/** Whether a promise is settled by now. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  let settled = false
  void promise.then(() => {
    settled = true
  })
  await new Promise(setImmediate)
  return settled
}

test('nothing under way is idle', async () => {
  const underWay = new UnderWay()
  await underWay.idle()
  underWay.leave(underWay.enter())
  await underWay.idle()
})

test('idle waits for what is under way, and not for what begins later', async () => {
  const underWay = new UnderWay()
  const [first, second] = [underWay.enter(), underWay.enter()]
  const idle = underWay.idle()
  const later = underWay.enter()
  underWay.leave(first)
  expect(await isSettled(idle)).toBe(false)
  underWay.leave(second)
  expect(await isSettled(idle)).toBe(true)
  const again = underWay.idle()
  expect(await isSettled(again)).toBe(false)
  underWay.leave(later)
  expect(await isSettled(again)).toBe(true)
})

test('whoever asks again waits for what was under way before, too', async () => {
  const underWay = new UnderWay()
  const first = underWay.enter()
  const idle = underWay.idle()
  const second = underWay.enter()
  const both = underWay.idle()
  const none = underWay.idle()
  underWay.leave(second)
  expect(await isSettled(both)).toBe(false)
  underWay.leave(first)
  expect(await Promise.all([idle, both, none].map(isSettled))).toEqual([true, true, true])
})
