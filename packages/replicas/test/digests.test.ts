import { headDigest } from '@atoll/causality'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { VNODE_CAPABILITIES } from '@atoll/vnode'
import { describe, expect, it } from 'vitest'
import { content, id, makeHost, memoryStore, testRuntime, write } from '../../vnode/test/world.ts'
import { serveVnodes, VnodeReplicas } from '../src/index.ts'

const { sha1 } = testRuntime().digest
const KEY = { partition: 1, id: id('k') }
const CALL = { timeoutMs: 60_000 }

describe('a digest that another node is asked for', () => {
  it.each([
    ['of this build', VNODE_CAPABILITIES, true],
    ['of the build before', [], false],
  ] as const)('is answered by one %s as it can', async (_name, capabilities, knows) => {
    const runtime = testRuntime()
    const network = new MemoryNetwork(runtime)
    const nodes = [
      ['n1', VNODE_CAPABILITIES],
      ['n2', capabilities],
    ] as const
    const made = await Promise.all(
      nodes.map(async ([node, capabilities]) => {
        const host = makeHost(memoryStore().database, runtime, { node })
        await host.open()
        const parts = { transport: network.transport(node), addressOf: (name: string) => name }
        const endpoint = new RpcEndpoint(runtime, parts, { node, capabilities })
        serveVnodes(endpoint, host)
        await endpoint.open()
        return { host, endpoint }
      }),
    )
    const [near, far] = made
    if (near === undefined || far === undefined) throw new Error('there are two')
    const replicas = new VnodeReplicas({ node: 'n1', ...near })
    const target = { node: 'n2', partition: 1 }
    const { record } = await far.host.coordinate(write(KEY.id, content('v')))
    await replicas.get(target, id('none'), CALL)
    const reply = await replicas.get(target, KEY.id, { ...CALL, digestOnly: true })
    expect(reply).toEqual(
      knows
        ? { record: undefined, corrupt: false, digest: headDigest(record, sha1) }
        : { record, corrupt: false },
    )
    for (const { host, endpoint } of made) {
      await endpoint.close()
      await host.close()
    }
  })
})
