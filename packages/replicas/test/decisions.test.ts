import type { StoredRecord } from '@atoll/causality'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { DECISIONS, VNODE_CAPABILITIES, type VnodeHost } from '@atoll/vnode'
import { describe, expect, it } from 'vitest'
import {
  classicStore,
  content,
  id,
  makeHost,
  memoryStore,
  testRuntime,
  valuesOf,
  write,
} from '../../vnode/test/world.ts'
import { serveVnodes, VnodeReplicas } from '../src/index.ts'

const CALL = { timeoutMs: 60_000 }
const OF_BEFORE = VNODE_CAPABILITIES.filter((capability) => capability !== DECISIONS)

async function twoNodes(capabilities: readonly string[], makeStore = classicStore) {
  const runtime = testRuntime()
  const network = new MemoryNetwork(runtime)
  const make = async (node: string, able: readonly string[]) => {
    const store = makeStore()
    const host = makeHost(store.database, runtime, { node })
    await host.open()
    const parts = { transport: network.transport(node), addressOf: (name: string) => name }
    const endpoint = new RpcEndpoint(runtime, parts, { node, capabilities: able })
    serveVnodes(endpoint, host)
    await endpoint.open()
    return { host, endpoint, store }
  }
  const near = await make('n1', VNODE_CAPABILITIES)
  const far = await make('n2', capabilities)
  const replicas = new VnodeReplicas({ node: 'n1', ...near })
  // The handshake: before that nobody knows what the other node can do.
  await replicas.get({ node: 'n2', partition: 1 }, id('none'), CALL)
  const close = async () => {
    for (const { host, endpoint, store } of [near, far]) {
      await endpoint.close()
      await host.close()
      store.dispose()
    }
  }
  /** What was told before the answer, and the answer. */
  const coordinate = async (node: string, key: string, text: string) => {
    const { id: name, partition: _, ...asked } = write(id(key), content(text))
    let told: StoredRecord | undefined
    let isAnswered = false
    const onDecided = (record: StoredRecord) => {
      expect(isAnswered).toBe(false)
      told = record
    }
    const target = { node, partition: 1 }
    const { record } = await replicas.coordinate(target, name, asked, { ...CALL, onDecided })
    isAnswered = true
    return { told, record }
  }
  return { near: near.host, far: far.host, coordinate, close }
}

describe('what another node has decided of a write', () => {
  it.each(['n1', 'n2'])('is told before it is durable there: by %s', async (node) => {
    const { coordinate, close } = await twoNodes(VNODE_CAPABILITIES)
    const { told, record } = await coordinate(node, 'k', 'one')
    expect(told).toEqual(record)
    expect(valuesOf(told)).toEqual(['one'])
    await close()
  })

  it('is not told by a node of a build before, which is not asked to', async () => {
    const { coordinate, close } = await twoNodes(OF_BEFORE)
    const { told, record } = await coordinate('n2', 'k', 'one')
    expect([told, valuesOf(record)]).toEqual([undefined, ['one']])
    await close()
  })

  it.each(['n1', 'n2'])('is not told by a database in memory, which has it at once: by %s', async (node) => {
    const { coordinate, close } = await twoNodes(VNODE_CAPABILITIES, memoryStore)
    const { told, record } = await coordinate(node, 'k', 'one')
    expect([told, valuesOf(record)]).toEqual([undefined, ['one']])
    await close()
  })

  it('is not told where the result has values beside that of the write', async () => {
    const { coordinate, close } = await twoNodes(VNODE_CAPABILITIES)
    await coordinate('n2', 'k', 'one')
    const { told, record } = await coordinate('n2', 'k', 'two')
    expect([told, valuesOf(record)]).toEqual([undefined, ['one', 'two']])
    await close()
  })

  it('is believed only if it is that write', async () => {
    const { far, coordinate, close } = await twoNodes(VNODE_CAPABILITIES)
    const { record: other } = await far.coordinate(write(id('other'), content('xyz')))
    lying(far, other)
    const { told, record } = await coordinate('n2', 'k', 'abc')
    expect([told, valuesOf(record)]).toEqual([undefined, ['abc']])
    await close()
  })
})

/** The host tells of another record than the one that it writes, under the same name of a write. */
function lying(host: VnodeHost, { clock, siblings }: StoredRecord): void {
  const coordinate = host.coordinate.bind(host)
  host.coordinate = (request, onDecided) => {
    const { writeId } = request
    onDecided?.({ clock, siblings: siblings.map((sibling) => ({ ...sibling, writeId })) })
    return coordinate(request)
  }
}
