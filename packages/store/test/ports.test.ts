import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMetrics, type Log, type Metrics, utf8 } from '@atoll/core'
import { systemRuntime } from '@atoll/node'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openCluster, openNode } from '../src/index.ts'

let path: string

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'atoll-ports-'))
})

afterEach(() => rm(path, { recursive: true }))

const fail = (): never => {
  throw new Error('the port is broken')
}
const rejecting = async () => fail()
const BROKEN_LOG: Log = { debug: fail, info: fail, warn: fail, error: fail }
const BROKEN_METRICS: Metrics = { count: fail, gauge: fail, observe: fail }
const KEY = { type: 'default', bucket: utf8('words'), key: utf8('one') }
const BODY = new Uint8Array(3_000_000).fill(7)

async function lengthOf(body: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += chunk.length
  return bytes
}

/** What a program does with a node, with functions of its own that throw. */
async function use({ objects }: Awaited<ReturnType<typeof openNode>>, onProgress: () => void): Promise<void> {
  await objects.createBucket('bodies')
  await objects.put('bodies', 'small', 'a text', { onProgress })
  await objects.put('bodies', 'large', BODY, { onProgress })
  await objects.put('bodies', 'large', BODY, { onProgress })
  const { body } = await objects.get('bodies', 'large', { onProgress, repair: true })
  expect(await lengthOf(body)).toBe(BODY.length)
  await objects.delete('bodies', 'small')
  expect((await objects.list('bodies')).objects.map(({ key }) => key)).toEqual(['large'])
  expect(await objects.collect({ leewayMs: 0, now: Date.now() + 1000, onProgress })).toMatchObject({
    failed: 0,
  })
}

describe.each([
  ['throw', fail],
  ['answer promises that are rejected', rejecting],
] as const)('ports that always %s', (_, broken) => {
  const log = { debug: broken, info: broken, warn: broken, error: broken }
  const metrics = { count: broken, gauge: broken, observe: broken }
  const probe = { mark: broken }

  test('stop nothing of a node on a disk: it is used, closed, opened again and used', async () => {
    for (let round = 0; round < 2; round++) {
      await using system = systemRuntime()
      await using node = await openNode({ path, runtime: { ...system, log, metrics, probe } })
      if (round === 0) await use(node, broken)
      else expect(await lengthOf((await node.objects.get('bodies', 'large')).body)).toBe(BODY.length)
      await node.kv.put(KEY, { value: utf8(`${round}`) })
    }
  })

  test('stop nothing of a cluster that loses nodes, repairs and hands over', async () => {
    await using system = systemRuntime()
    const runtime = () => ({ ...system, log, metrics, probe })
    await using cluster = await openCluster({ nodes: 4, partitions: 8, runtime })
    await use(cluster.node(1), broken)
    await cluster.crash('n2')
    await cluster.node(1).objects.put('bodies', 'meanwhile', BODY)
    await cluster.restart('n2')
    const { cluster: control } = cluster.node(1)
    await control.stage({ kind: 'leave', node: 'n4' })
    await control.commit(await control.plan())
    await control.settled()
    expect(await lengthOf((await cluster.node(2).objects.get('bodies', 'meanwhile')).body)).toBe(BODY.length)
  })
})

test('what throws is counted where metrics work', async () => {
  const metrics = createMetrics()
  await using system = systemRuntime({ log: BROKEN_LOG, metrics })
  await using node = await openNode({ runtime: system })
  await node.objects.createBucket('bodies')
  await node.objects.put('bodies', 'large', BODY, { onProgress: fail })
  expect(metrics.value('atoll_port_failures_total', { port: 'onProgress' })).toBe(3)
})

test('metrics that throw are told in the log, once', async () => {
  const errors: object[] = []
  const log = { debug() {}, info() {}, warn() {}, error: (fields: object) => void errors.push(fields) }
  await using system = systemRuntime({ log, metrics: BROKEN_METRICS })
  await using node = await openNode({ runtime: system })
  await node.objects.createBucket('bodies')
  expect(errors).toEqual([{ port: 'metrics', err: new Error('the port is broken'), held: 0 }])
})

describe('a merge function', () => {
  test.each([
    ['throws', fail],
    ['answers bytes of a kind that it must not', () => new DataView(new ArrayBuffer(3)) as never],
  ])('that %s leaves the siblings as they are, to be seen', async (_, merge) => {
    const metrics = createMetrics()
    await using system = systemRuntime({ metrics })
    const bucketTypes = { merged: { policy: { kind: 'merge', name: 'mine', merge } } } as const
    await using node = await openNode({ runtime: system, bucketTypes, merges: { mine: merge } })
    const id = { type: 'merged', bucket: utf8('words'), key: utf8('one') }
    await node.kv.put(id, { value: utf8('a') })
    await node.kv.put(id, { value: utf8('b') })
    const { values, context } = await node.kv.get(id)
    expect(values.map(({ value }) => new TextDecoder().decode(value)).sort()).toEqual(['a', 'b'])
    expect(metrics.value('atoll_port_failures_total', { port: 'merge' })).toBeGreaterThan(0)
    await node.kv.put(id, { value: utf8('ab'), context })
    expect((await node.kv.get(id)).values).toHaveLength(1)
  })
})
