import { AtollError, utf8 } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import type { FakeReplicas } from './fake-replicas.ts'
import { failure, type Islands, type IslandsOptions, islands, keyOn } from './islands.ts'

const lost = new AtollError('ATOLL_TIMEOUT', 'lost')
const dead = new AtollError('ATOLL_UNREACHABLE', 'dead')
const value = utf8('v')

/** Who was told what, in the order of calls: "n2 put: n3". */
function told({ calls }: FakeReplicas): readonly string[] {
  return calls.flatMap(({ node, operation, hintFor }) =>
    hintFor === undefined ? [] : [`${node} ${operation}: ${hintFor.join(' ')}`],
  )
}

function story(options: IslandsOptions, tell: (setting: Islands) => Promise<void>): () => Promise<void> {
  return async () => {
    const setting = await islands(options)
    await setting.world.run(() => tell(setting))
  }
}

describe.each(['default', 'once'])('what a primary misses of type %s', (type) => {
  test(
    'is nothing while all are there: nobody is told, and nobody is asked once more',
    story({}, async (setting) => {
      const { coordinator, replicas } = setting
      await coordinator.put(keyOn(setting, ['n1', 'n2', 'n3'], type), { value })
      await coordinator.idle()
      expect(told(replicas)).toEqual([])
      expect(replicas.calls).toHaveLength(3)
    }),
  )

  test(
    'is noted by the other two, with the write, if nobody can stand in for it',
    story({ nodes: 3 }, async (setting) => {
      const { coordinator, replicas, down } = setting
      down.add('n3')
      await coordinator.put(keyOn(setting, ['n1', 'n2', 'n3'], type), { value })
      await coordinator.idle()
      const first = type === 'once' ? 'put' : 'coordinate'
      expect(told(replicas)).toEqual([`n1 ${first}: n3`, 'n2 put: n3'])
    }),
  )

  test(
    'is what a fallback has for it, which notes that: it may come to hold the key itself',
    story({ nodes: 4 }, async (setting) => {
      const { coordinator, replicas, down } = setting
      down.add('n3')
      await coordinator.put(keyOn(setting, ['n1', 'n2', 'n3'], type), { value })
      await coordinator.idle()
      expect(replicas.calls.map(({ node }) => node).sort()).toEqual(['n1', 'n2', 'n4'])
      expect(told(replicas)).toEqual(['n4 put: n3'])
    }),
  )

  test(
    'is noted by the primary that is left where one fallback stands in for two: what that one has, it gives to all',
    story({ nodes: 4 }, async (setting) => {
      const { coordinator, replicas, down } = setting
      down.add('n2').add('n3')
      await coordinator.put(keyOn(setting, ['n1', 'n2', 'n3'], type), { value })
      await coordinator.idle()
      const coordinated = type === 'once' ? 'put' : 'coordinate'
      expect(told(replicas)).toEqual([`n1 ${coordinated}: n2 n3`, 'n4 put: n2 n3'])
    }),
  )

  test(
    'is noted by the fallback, too, where another primary failed',
    story({ nodes: 4 }, async (setting) => {
      const { coordinator, replicas, down } = setting
      down.add('n3')
      replicas.fault = (node) => (node === 'n2' ? { kind: 'before', error: lost } : undefined)
      await coordinator.put(keyOn(setting, ['n1', 'n2', 'n3'], type), { value })
      await coordinator.idle()
      expect(told(replicas)).toEqual(['n4 put: n3', 'n1 hint: n3 n2', 'n4 hint: n3 n2'])
    }),
  )

  test(
    'is noted by the fallback alone if nobody else took it',
    story({ nodes: 4 }, async (setting) => {
      const { coordinator, replicas, down } = setting
      down.add('n3')
      replicas.fault = (node) => (node === 'n4' ? undefined : { kind: 'before', error: lost })
      const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
      expect(await failure(coordinator.put(id, { value }))).toMatchObject({ definite: false })
      await coordinator.idle()
      const [first, ...hints] = told(replicas)
      expect(first).toBe(type === 'once' ? 'n4 put: n3' : 'n4 coordinate: n3 n1 n2')
      // Of those that were to coordinate before it nobody knows what they did.
      const doubts = type === 'once' ? [] : ['n1 hint: n3 n2', 'n2 hint: n3 n1']
      expect(hints.sort()).toEqual([...doubts, 'n4 hint: n3 n1 n2'])
    }),
  )

  test(
    'is noted once it is known that the fallback which was to have it for it has not',
    story({ nodes: 4 }, async (setting) => {
      const { coordinator, replicas, down } = setting
      down.add('n3')
      replicas.fault = (node) => (node === 'n4' ? { kind: 'before', error: lost } : undefined)
      await coordinator.put(keyOn(setting, ['n1', 'n2', 'n3'], type), { value })
      await coordinator.idle()
      expect(told(replicas)).toEqual(['n4 put: n3', 'n1 hint: n3', 'n2 hint: n3'])
    }),
  )

  test.each(['before', 'after'] as const)(
    'because a message was lost is noted by the others once that is known (%s it was done)',
    (kind) =>
      story({}, async (setting) => {
        const { coordinator, replicas } = setting
        replicas.fault = (node) => (node === 'n3' ? { kind, error: lost } : undefined)
        const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
        expect(await coordinator.put(id, { value })).toMatchObject({ durable: 2 })
        await coordinator.idle()
        expect(told(replicas)).toEqual(['n1 hint: n3', 'n2 hint: n3'])
      })(),
  )

  test(
    'because it died under the write is what the fallback has that takes its place, or is noted if there is none',
    story({}, async (setting) => {
      const { coordinator, replicas, down } = setting
      replicas.fault = (node) => (node === 'n3' ? { kind: 'before', error: dead } : undefined)
      const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
      await coordinator.put(id, { value })
      await coordinator.idle()
      expect(told(replicas)).toEqual(['n4 put: n3'])
      down.add('n4').add('n5')
      await coordinator.put(id, { value })
      await coordinator.idle()
      expect(told(replicas)).toEqual(['n4 put: n3', 'n1 hint: n3', 'n2 hint: n3'])
    }),
  )

  test(
    'is noted too if the write has failed for its caller: what one replica has, all shall have',
    story({}, async (setting) => {
      const { coordinator, replicas } = setting
      replicas.fault = (node) => (node === 'n1' ? undefined : { kind: 'before', error: lost })
      const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
      expect(await failure(coordinator.put(id, { value }))).toMatchObject({ definite: false })
      await coordinator.idle()
      expect(told(replicas)).toEqual(['n1 hint: n2 n3'])
    }),
  )

  test(
    'and nobody can note now is noted later, or is counted when the coordinator closes before',
    story({}, async (setting) => {
      const { coordinator, replicas, runtime } = setting
      const lostHints = () => runtime.metrics.value('atoll_coordinator_hints_lost_total')
      const fault: FakeReplicas['fault'] = (node, operation) =>
        node === 'n3' || operation === 'hint' ? { kind: 'before', error: lost } : undefined
      replicas.fault = fault
      const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
      await coordinator.put(id, { value })
      await coordinator.idle()
      const tried = told(replicas).length
      replicas.fault = () => undefined
      await runtime.clock.sleep(5000)
      expect(told(replicas).slice(tried)).toEqual(['n1 hint: n3', 'n2 hint: n3'])
      expect(lostHints()).toBe(0)
      replicas.fault = fault
      await coordinator.put(id, { value })
      await coordinator.idle()
      await coordinator.close()
      expect(lostHints()).toBe(1)
      await runtime.clock.sleep(5000)
      expect(lostHints()).toBe(1)
    }),
  )
})

test(
  'of a write that is declined nobody misses anything',
  story({ nodes: 3 }, async (setting) => {
    const { coordinator, replicas, down } = setting
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    await coordinator.put(id, { value })
    await coordinator.idle()
    down.add('n3')
    replicas.calls.splice(0)
    expect(await coordinator.put(id, { value, ifAlone: true })).toMatchObject({ alone: false, durable: 0 })
    await coordinator.idle()
    expect(replicas.calls.map(({ operation }) => operation)).toEqual(['coordinate'])
  }),
)

test(
  'a replica that was to coordinate and did not answer may have a version of its own: it gives that to the others',
  story({}, async (setting) => {
    const { coordinator, replicas } = setting
    replicas.fault = (node, operation) =>
      node === 'n1' && operation === 'coordinate' ? { kind: 'after', error: lost } : undefined
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    expect(await coordinator.put(id, { value }, { w: 3, dw: 3 })).toMatchObject({ durable: 3 })
    await coordinator.idle()
    expect(told(replicas)).toEqual(['n1 hint: n2 n3'])
  }),
)

test(
  'so does a fallback that was to coordinate',
  story({ nodes: 4 }, async (setting) => {
    const { coordinator, replicas, down } = setting
    down.add('n3')
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    replicas.fault = (node, operation) =>
      operation === 'coordinate' ? { kind: node === 'n4' ? 'after' : 'before', error: lost } : undefined
    expect(await failure(coordinator.put(id, { value }))).toMatchObject({ definite: false })
    await coordinator.idle()
    const [coordinated, ...hints] = told(replicas)
    expect(coordinated).toBe('n4 coordinate: n3 n1 n2')
    expect(hints.sort()).toEqual(['n1 hint: n3 n2', 'n2 hint: n3 n1', 'n4 hint: n3 n1 n2'])
  }),
)
