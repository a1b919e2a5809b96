import { expect, test } from 'vitest'
import { Slots } from '../src/slots.ts'

test('hands out what there is, and then waits in the order of asking', async () => {
  const slots = new Slots(2)
  const first = await slots.take()
  const second = await slots.take()
  expect(slots.tryTake()).toBeUndefined()
  const order: string[] = []
  const third = slots.take().then((release) => {
    order.push('third')
    return release
  })
  const fourth = slots.take().then((release) => {
    order.push('fourth')
    return release
  })
  first()
  await third
  expect(order).toEqual(['third'])
  second()
  await fourth
  expect(order).toEqual(['third', 'fourth'])
})

test('a slot given back twice is one slot', async () => {
  const slots = new Slots(1)
  const release = await slots.take()
  release()
  release()
  expect(slots.tryTake()).toBeDefined()
  expect(slots.tryTake()).toBeUndefined()
})
