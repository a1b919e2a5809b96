import { expect, test } from 'vitest'
import { type ObjectMetadata, ObjectStore } from '../src/index.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

test.each<[string, ObjectMetadata, Record<string, string>]>([
  ['a plain object', { Colour: 'blue', depth: '12 m' }, { Colour: 'blue', depth: '12 m' }],
  ['an object without a prototype', Object.assign(Object.create(null), { a: 'b' }), { a: 'b' }],
  ['a Map', new Map([['colour', 'blue']]), { colour: 'blue' }],
  ['Headers', new Headers({ Colour: 'blue', 'x-tag': 'a' }), { colour: 'blue', 'x-tag': 'a' }],
  [
    'pairs',
    [
      ['a', 'b'],
      ['A', 'c\td'],
    ],
    { a: 'b', A: 'c\td' },
  ],
  ['entries', Object.entries({ x: 'ä 海' }), { x: 'ä 海' }],
  ['nothing', [], {}],
])('metadata may be given as %s', async (_name, metadata, expected) => {
  const store = new ObjectStore(manualRuntime(), { kv: new MemoryKv() })
  await store.createBucket('reef')
  await store.put('reef', 'a', 'x', { metadata })
  expect((await store.head('reef', 'a')).metadata).toEqual(expected)
})

test('metadata without end is refused, not gathered', async () => {
  const store = new ObjectStore(manualRuntime(), { kv: new MemoryKv() })
  let given = 0
  function* endless(): Generator<[string, string]> {
    for (;;) yield [`name-${given++}`, 'value']
  }
  await expect(store.put('reef', 'a', 'x', { metadata: endless() })).rejects.toThrow(/at most 8192 bytes/)
  expect(given).toBeLessThan(1000)
})
