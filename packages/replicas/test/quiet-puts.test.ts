import { MemoryNetwork, RpcEndpoint, type Transport } from '@atoll/transport'
import { QUIET_PUTS, VNODE_CAPABILITIES } from '@atoll/vnode'
import { describe, expect, it } from 'vitest'
import { content, id, makeHost, memoryStore, testRuntime, write } from '../../vnode/test/world.ts'
import { serveVnodes, VnodeReplicas } from '../src/index.ts'

const CALL = { timeoutMs: 60_000 }
const OF_BEFORE = VNODE_CAPABILITIES.filter((capability) => capability !== QUIET_PUTS)

/** The same transport, of which every frame that a listener sends is counted. */
function counting(transport: Transport, count: () => void): Transport {
  return {
    connect: (to, options) => transport.connect(to, options),
    listen: (at, onConnection) =>
      transport.listen(at, (connection) => {
        const send = connection.send.bind(connection)
        connection.send = (frame) => {
          count()
          return send(frame)
        }
        onConnection(connection)
      }),
  }
}

async function twoNodes(capabilities: readonly string[]) {
  const runtime = testRuntime()
  const network = new MemoryNetwork(runtime)
  let answers = 0
  const make = async (node: string, able: readonly string[]) => {
    const host = makeHost(memoryStore().database, runtime, { node })
    await host.open()
    const transport = counting(network.transport(node), () => {
      answers += 1
    })
    const endpoint = new RpcEndpoint(
      runtime,
      { transport, addressOf: (name) => name },
      { node, capabilities: able },
    )
    serveVnodes(endpoint, host)
    await endpoint.open()
    return { host, endpoint }
  }
  const near = await make('n1', VNODE_CAPABILITIES)
  const far = await make('n2', capabilities)
  const replicas = new VnodeReplicas({ node: 'n1', ...near })
  const target = { node: 'n2', partition: 1 }
  // The handshake: before that nobody knows what the other node can do.
  await replicas.get(target, id('none'), CALL)
  const close = async () => {
    for (const { host, endpoint } of [near, far]) {
      await endpoint.close()
      await host.close()
    }
  }
  const put = async (key: string, onAccepted?: () => void) => {
    const { record } = await near.host.coordinate(write(id(key), content('v')))
    const before = answers
    const { changed } = await replicas.put(target, id(key), record, { ...CALL, onAccepted })
    expect(changed).toBe(true)
    expect((await far.host.get({ partition: 1, id: id(key) })).record).toEqual(record)
    return answers - before
  }
  return { put, close }
}

describe('a put of which nobody wants to hear before it is durable', () => {
  it.each([
    ['of this build', VNODE_CAPABILITIES, 1],
    ['of a build before', OF_BEFORE, 2],
    ['that says nothing of itself', [], 2],
  ] as const)('is answered by a node %s as it can', async (_name, capabilities, frames) => {
    const { put, close } = await twoNodes(capabilities)
    expect(await put('quiet')).toBe(frames)
    await close()
  })

  it('is told of to whoever wants to hear of it', async () => {
    const { put, close } = await twoNodes(VNODE_CAPABILITIES)
    let heard = 0
    const frames = await put('loud', () => {
      heard += 1
    })
    expect([frames, heard]).toEqual([2, 1])
    await close()
  })
})
