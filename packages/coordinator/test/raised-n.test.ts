import { AtollError, utf8 } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { type BucketChanges, BucketTypes } from '../src/index.ts'
import { failure, type Islands, islands, keyId, keyOn, texts } from './islands.ts'

const KEYS = Array.from({ length: 40 }, (_, at) => `k${at}`)
const LIST = { type: 'notes', index: 'list', scope: utf8('s') }

/** The type of this cluster has this n now, of which so many replicas are filled. */
function raise(
  { types }: Islands,
  n: number,
  { filled = n, ...more }: BucketChanges & { filled?: number } = {},
) {
  const next = new BucketTypes()
  next.set('notes', { n, ...more })
  next.set('blocks', { n, ...more, policy: { kind: 'write-once' } })
  const isFilling = filled < n
  const filling = new Map(isFilling ? ['notes', 'blocks'].map((type) => [type, filled]) : [])
  types.replaceAll(next.toEncoded(), filling)
}

const write = ({ coordinator }: Islands, key: string, text: string, type = 'notes') => {
  const indexes = [{ index: 'list', scope: utf8('s'), term: utf8(key), payload: utf8('') }]
  return coordinator.put(keyId(key, type), { value: utf8(text), indexes })
}

async function readAll({ coordinator }: Islands, type = 'notes'): Promise<string[]> {
  const reads = KEYS.map(async (key) => texts(await coordinator.get(keyId(key, type))).join())
  return await Promise.all(reads)
}

describe.each([
  [1, 3],
  [3, 5],
  [2, 5],
])('while n goes up from %i to %i', (before, after) => {
  test('reads hear those that are filled, whoever is the quickest to say that there is nothing', async () => {
    const setting = await islands()
    await setting.world.run(async () => {
      raise(setting, before)
      for (const key of KEYS) for (const type of ['notes', 'blocks']) await write(setting, key, 'old', type)
      await setting.coordinator.idle()
      raise(setting, after, { filled: before })
      for (const type of ['notes', 'blocks'])
        expect(await readAll(setting, type)).toEqual(KEYS.map(() => 'old'))
      const { entries } = await setting.coordinator.scan(LIST)
      expect(entries).toHaveLength(KEYS.length)
    })
  })

  test('a write is seen by those who read as before, and by those who read by one more', async () => {
    const setting = await islands()
    await setting.world.run(async () => {
      for (const sizes of [
        {},
        { r: 'all', w: 'one', dw: 'one' },
        { r: 'one', w: 'all', dw: 'all' },
      ] as const) {
        raise(setting, after, { filled: before, ...sizes })
        for (const key of KEYS) await write(setting, key, 'new')
        for (const [n, more] of [
          [after, { filled: before }],
          [before + 1, {}],
        ] as const) {
          raise(setting, n, { ...more, ...sizes })
          for (const text of await readAll(setting)) expect(text).toContain('new')
        }
      }
    })
  })

  test('what a request asks for is of those that are filled', async () => {
    const setting = await islands()
    await setting.world.run(async () => {
      raise(setting, after, { filled: before })
      await write(setting, 'k0', 'x')
      await setting.coordinator.idle()
      const options = { r: after, pr: after, n: after }
      expect(texts(await setting.coordinator.get(keyId('k0', 'notes'), options))).toEqual(['x'])
      const asked = setting.replicas.calls.filter(({ operation }) => operation === 'get')
      expect(asked).toHaveLength(before)
      await setting.coordinator.put(keyId('k1', 'notes'), { value: utf8('x') }, { w: after, pw: after })
    })
  })
})

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']
const COURSES = ['', ...NODES].flatMap((down) =>
  ['', ...NODES].flatMap((failing) => NODES.map((frozen) => ({ down, failing, frozen }))),
)

test('no read denies what as many primaries have confirmed as a reader by the new n would have to meet', async () => {
  let denied = 0
  let firm = 0
  for (const { down, failing, frozen } of COURSES) {
    const setting = await islands()
    await setting.world.run(async () => {
      raise(setting, 4, { filled: 3 })
      const { coordinator, replicas } = setting
      const id = keyOn(setting, ['n1', 'n2', 'n3', 'n4'], 'notes')
      if (down !== '') setting.down.add(down)
      replicas.fault = (node) =>
        node === failing ? { kind: 'before', error: new AtollError('ATOLL_OVERLOADED', 'busy') } : undefined
      const written = await coordinator.put(id, { value: utf8('x') }).catch(() => undefined)
      if (written === undefined) return
      await coordinator.idle()
      setting.down.clear()
      replicas.fault = (node) => (node === frozen ? { kind: 'hang' } : undefined)
      const read = await coordinator.get(id).catch(() => undefined)
      const isDenied = read !== undefined && read.values.length === 0
      if (isDenied) denied += 1
      if (written.primaries < 2) return
      firm += 1
      expect({ down, failing, frozen, isDenied }).toEqual({ down, failing, frozen, isDenied: false })
    })
  }
  expect({ denied: denied > 0, firm: firm > COURSES.length / 2 }).toEqual({ denied: true, firm: true })
})

test.each([{ pw: 2 }, { w: 2, sloppy: false }, { dw: 2, sloppy: false }])(
  'what the filled replicas cannot give is impossible, though the one that is being filled is there: %j',
  async (options) => {
    const setting = await islands()
    await setting.world.run(async () => {
      raise(setting, 3, { filled: 2, w: 'one', dw: 'one' })
      const id = keyOn(setting, ['n1', 'n2', 'n3'], 'notes')
      setting.down.add('n2')
      const writing = setting.coordinator.put(id, { value: utf8('x') }, options)
      expect(await failure(writing)).toMatchObject({
        code: 'ATOLL_QUORUM_IMPOSSIBLE',
        details: { n: 2, primaries: 1, down: ['n2'] },
      })
      expect(setting.replicas.calls).toEqual([])
    })
  },
)
