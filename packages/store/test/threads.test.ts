import { createMetrics } from '@atoll/core'
import { systemRuntime } from '@atoll/node'
import { expect, test } from 'vitest'
import { openCluster, openNode } from '../src/index.ts'

const BODY = new Uint8Array(200_000).fill(7)

/** Threads that were started by this one, and have not ended. */
function threads(): number {
  const report: unknown = process.report.getReport()
  if (typeof report === 'object' && report !== null && 'workers' in report && Array.isArray(report.workers))
    return report.workers.length
  throw new TypeError('a report names the workers')
}

interface Opened extends AsyncDisposable {
  readonly objects: {
    createBucket(name: string): Promise<unknown>
    put(...args: [string, string, Uint8Array]): Promise<unknown>
  }
}

async function putOne({ objects }: Opened): Promise<void> {
  await objects.createBucket('bodies')
  await objects.put('bodies', 'one', BODY)
}

test('a node that made its runtime ends its threads: open, put, close, sixty times', async () => {
  const before = threads()
  let rssAfterTen = 0
  for (let round = 1; round <= 60; round++) {
    await using node = await openNode()
    await putOne(node)
    expect(threads()).toBe(before + 1)
    if (round === 10) rssAfterTen = process.memoryUsage.rss()
  }
  expect(threads()).toBe(before)
  // With a thread left behind by each it was some 8 MB a round.
  expect(process.memoryUsage.rss() - rssAfterTen).toBeLessThan(150e6)
})

test('so does a cluster, whose nodes share them; a node that crashes takes none with it', async () => {
  const before = threads()
  for (let round = 0; round < 3; round++) {
    await using cluster = await openCluster({ nodes: 3 })
    await putOne(cluster.node(1))
    await cluster.crash('n1')
    await cluster.node(2).objects.put('bodies', 'two', BODY)
    expect(threads()).toBe(before + 1)
  }
  expect(threads()).toBe(before)
})

test('a closed node may be opened again, with threads anew', async () => {
  const before = threads()
  const node = await openNode()
  await putOne(node)
  await node.close()
  expect(threads()).toBe(before)
  await node.open()
  await node.objects.put('bodies', 'two', BODY)
  expect(threads()).toBe(before + 1)
  await node.close()
  expect(threads()).toBe(before)
})

test('a runtime that was given is the giver’s: it outlives its node, and ends when it is closed', async () => {
  const before = threads()
  const runtime = systemRuntime({ metrics: createMetrics() })
  {
    await using node = await openNode({ runtime })
    await putOne(node)
  }
  expect(threads()).toBe(before + 1)
  {
    await using sharing = systemRuntime({ digest: runtime.digest })
    await using node = await openNode({ runtime: sharing })
    await putOne(node)
  }
  expect(threads()).toBe(before + 1)
  await runtime.close()
  await runtime.close()
  expect(threads()).toBe(before)
})
