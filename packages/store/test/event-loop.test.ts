import { openCluster, openNode } from '@atoll/store'
import { expect, test } from 'vitest'

const PATIENCE_MS = 10_000
const KEY = { type: 'default', bucket: Buffer.from('b'), key: Buffer.from('k') }

const houses = {
  'one node': async () => {
    const node = await openNode()
    return { node, close: () => node.close() }
  },
  'five nodes': async () => {
    const cluster = await openCluster({ nodes: 5, partitions: 16 })
    return { node: cluster.node(1), close: () => cluster.close() }
  },
}

for (const [house, open] of Object.entries(houses)) {
  test(`a caller that goes on and on lets timers fire: ${house} in memory`, async () => {
    const { node, close } = await open()
    const { kv, objects } = node
    await objects.createBucket('photos')
    await objects.put('photos', 'a', 'x')
    const calls: Record<string, () => Promise<unknown>> = {
      'kv.put': () => kv.put(KEY, { value: Buffer.from('v') }),
      'kv.get': () => kv.get(KEY),
      'kv.delete': () => kv.delete(KEY),
      put: () => objects.put('photos', 'a', 'x'),
      head: () => objects.head('photos', 'a'),
      list: () => objects.list('photos'),
    }
    const starved: string[] = []
    for (const [name, call] of Object.entries(calls)) {
      let fired = false
      setTimeout(() => {
        fired = true
      }, 1)
      const endMs = performance.now() + PATIENCE_MS
      while (!fired && performance.now() < endMs) await Promise.all([call(), call()])
      if (!fired) starved.push(name)
    }
    expect(starved).toEqual([])
    await close()
  }, 120_000)
}
