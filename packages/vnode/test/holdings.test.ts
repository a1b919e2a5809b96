import { expect, test } from 'vitest'
import { Holdings } from '../src/holdings.ts'
import { content, id, makeHost, memoryStore, write } from './world.ts'

test('what is known is not looked up again, until it may have changed', async () => {
  const holdings = new Holdings()
  let looks = 0
  const look = (found: boolean) => async () => {
    looks += 1
    return found
  }
  expect(await holdings.has(3, look(false))).toBe(false)
  expect(await holdings.has(3, look(true))).toBe(false)
  expect(looks).toBe(1)
  holdings.growing(3)
  expect(await holdings.has(3, look(true))).toBe(true)
  holdings.growing(3)
  expect(await holdings.has(3, look(false))).toBe(true)
  expect(looks).toBe(2)
  holdings.shrinking(3)
  expect(await holdings.has(3, look(false))).toBe(false)
  expect(looks).toBe(3)
})

test('a look is not believed if something came meanwhile', async () => {
  const holdings = new Holdings()
  const found = await holdings.has(3, async () => {
    holdings.growing(3)
    return false
  })
  expect(found).toBe(false)
  expect(await holdings.has(3, async () => true)).toBe(true)
})

test('nothing is known any more, nor will be by a look under way, once all of it is forgotten', async () => {
  const holdings = new Holdings()
  expect(await holdings.has(2, async () => true)).toBe(true)
  const found = await holdings.has(3, async () => {
    holdings.clear()
    return true
  })
  expect(found).toBe(true)
  expect(await holdings.has(2, async () => false)).toBe(false)
  expect(await holdings.has(3, async () => false)).toBe(false)
})

test('a host tells where its records are, as they come and go', async () => {
  const { database } = memoryStore()
  const host = makeHost(database)
  await host.open()
  expect(await host.partitions()).toEqual([])
  const { record } = await host.coordinate(write(id('a'), content('a'), 5))
  expect(await host.partitions()).toEqual([5])
  await host.put({ partition: 2, id: id('a'), record })
  const [during] = await Promise.all([host.partitions(), host.put({ partition: 7, id: id('a'), record })])
  expect(during).toEqual(expect.arrayContaining([2, 5]))
  expect(await host.partitions()).toEqual([2, 5, 7])
  await host.drop(5)
  expect(await host.partitions()).toEqual([2, 7])
  await host.close()
})

test('looks only at partitions of which no record is counted', async () => {
  const store = memoryStore()
  const first = makeHost(store.database)
  await first.open()
  for (let partition = 0; partition < 8; partition += 2)
    await first.coordinate(write(id('a'), content('a'), partition))
  await first.close()
  const database = store.again()
  const host = makeHost(database)
  await host.open()
  let looks = 0
  const keys = database.keys.bind(database)
  Object.assign(database, {
    keys: (...options: Parameters<typeof keys>) => {
      looks += 1
      return keys(...options)
    },
  })
  expect(await host.partitions()).toEqual([0, 2, 4, 6])
  expect(looks).toBe(4)
  await host.drop(2)
  expect(await host.partitions()).toEqual([0, 4, 6])
  await host.close()
})
