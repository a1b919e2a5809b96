import { type ClusterDocument, firstDocument } from '@atoll/membership'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BUCKET_IDS, BucketPeers } from '../src/bucket-peers.ts'
import { systemRuntime } from '../src/system-runtime.ts'

function documentOf(names: readonly string[]): ClusterDocument {
  const members = names.map((node) => ({
    node,
    id: `da7a0000000000${node.replace('n', '0')}`,
    address: node,
  }))
  return firstDocument({ clusterId: 'reef', partitions: 8, members })
}

describe('whether all members read records of buckets with ids', () => {
  const runtime = systemRuntime()
  let network: MemoryNetwork
  const endpoints = new Map<string, RpcEndpoint>()
  let membership: { document: ClusterDocument | undefined }

  const begin = async (node: string, capabilities: readonly string[] = [BUCKET_IDS]) => {
    const parts = { transport: network.transport(node), addressOf: (name: string) => name }
    const endpoint = new RpcEndpoint(runtime, parts, { node, capabilities })
    endpoints.set(node, endpoint)
    await endpoint.open()
    return new BucketPeers({ node, endpoint, membership })
  }

  beforeEach(() => {
    network = new MemoryNetwork(runtime)
    membership = { document: documentOf(['n1', 'n2', 'n3']) }
  })

  afterEach(async () => {
    for (const endpoint of endpoints.values()) await endpoint.close()
    endpoints.clear()
  })

  test('is asked of those to whom nothing was said yet', async () => {
    const peers = await begin('n1')
    for (const node of ['n2', 'n3']) await begin(node)
    expect(peers.areThere()).toBe(true)
    expect(await peers.readIds()).toBe(true)
  })

  test('is not so while one is of a build before', async () => {
    const peers = await begin('n1')
    await begin('n2')
    await begin('n3', ['clocks'])
    for (let round = 0; round < 2; round++) expect(await peers.readIds()).toBe(false)
    await endpoints.get('n3')?.close()
    expect(await peers.readIds(), 'nor when it is gone for a while').toBe(false)
    await begin('n3')
    await expect
      .poll(() => peers.readIds(), { timeout: 10_000, message: 'but when it is back as one of this build' })
      .toBe(true)
  })

  test('is not known of one that was never there, and stays known of one that is gone for a while', async () => {
    const peers = await begin('n1')
    await begin('n2')
    expect(await peers.readIds()).toBe(false)
    await begin('n3')
    await expect.poll(() => peers.readIds(), { timeout: 10_000 }).toBe(true)
    await endpoints.get('n3')?.close()
    expect(await peers.readIds()).toBe(true)
  })

  test('is so where a node is alone, or does not know yet who else there is', async () => {
    const peers = await begin('n1')
    membership.document = documentOf(['n1'])
    expect([peers.areThere(), await peers.readIds()]).toEqual([false, true])
    membership.document = undefined
    expect([peers.areThere(), await peers.readIds()]).toEqual([false, true])
  })

  test('is not found out for who gives up', async () => {
    const peers = await begin('n1')
    for (const node of ['n2', 'n3']) await begin(node)
    expect(await peers.readIds({ signal: AbortSignal.abort() })).toBe(false)
  })
})
