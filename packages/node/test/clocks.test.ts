import { type ClusterDocument, firstDocument } from '@atoll/membership'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CLOCKS, Clocks } from '../src/clocks.ts'
import { systemRuntime } from '../src/system-runtime.ts'

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5']

function documentOf(names: readonly string[]): ClusterDocument {
  const members = names.map((node) => ({
    node,
    id: `da7a0000000000${node.replace('n', '0')}`,
    address: node,
  }))
  return firstDocument({ clusterId: 'reef', partitions: 8, members })
}

describe('the clocks of a cluster', () => {
  const runtime = systemRuntime()
  const network = new MemoryNetwork(runtime)
  const endpoints = new Map<string, RpcEndpoint>()
  const clocks = new Map<string, Clocks>()
  let document: ClusterDocument | undefined

  const begin = (node: string, wallMs: number, capabilities: readonly string[] = [CLOCKS]) => {
    const parts = { transport: network.transport(node), addressOf: (name: string) => name }
    const endpoint = new RpcEndpoint(runtime, parts, { node, capabilities: [...capabilities] })
    endpoints.set(node, endpoint)
    const clock = { ...runtime.clock, wallMs: () => wallMs }
    const own = new Clocks({ node, runtime: { clock }, endpoint, document: () => document })
    clocks.set(node, own)
    if (capabilities.length > 0) own.serve()
    return endpoint.open()
  }

  beforeEach(() => {
    document = documentOf(NAMES)
  })

  afterEach(async () => {
    for (const endpoint of endpoints.values()) await endpoint.close()
    endpoints.clear()
  })

  test('are read of every member that answers: not of a build before, nor of one that is not there', async () => {
    await begin('n1', 1000.7)
    await begin('n2', -5)
    await begin('n3', 3000)
    await begin('n4', 4000, [])
    // Twice: the first time it is not known yet what n4 can do.
    for (let round = 0; round < 2; round++) {
      const { members, wallMs } = (await clocks.get('n1')?.read()) ?? {}
      expect(members).toBe(5)
      expect(wallMs).toEqual([1000, 0, 3000])
    }
  })

  test('are that of the node alone before it knows of others', async () => {
    document = undefined
    await begin('n1', 1000)
    expect(await clocks.get('n1')?.read()).toEqual({ members: 1, wallMs: [1000] })
  })

  test('are not waited for by whoever gives up', async () => {
    await begin('n1', 1000)
    await begin('n2', 2000)
    const signal = AbortSignal.abort()
    expect(await clocks.get('n1')?.read({ signal })).toEqual({ members: 5, wallMs: [1000] })
  })
})
