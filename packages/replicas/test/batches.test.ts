import type { StoredRecord } from '@atoll/causality'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { BATCHES, VNODE_CAPABILITIES } from '@atoll/vnode'
import { afterEach, describe, expect, it } from 'vitest'
import { content, id, makeHost, memoryStore, testRuntime, write } from '../../vnode/test/world.ts'
import { serveVnodes, VnodeReplicas } from '../src/index.ts'

const CALL = { timeoutMs: 60_000 }
const TARGET = { node: 'n2', partition: 1 }

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** Two nodes, of which the first asks the second; the methods that it asks for are written down. */
async function setUp(capabilities: readonly string[] = VNODE_CAPABILITIES) {
  const runtime = testRuntime()
  const network = new MemoryNetwork(runtime)
  const make = async (node: string, able: readonly string[]) => {
    const host = makeHost(memoryStore().database, runtime, { node })
    await host.open()
    const parts = { transport: network.transport(node), addressOf: (name: string) => name }
    const endpoint = new RpcEndpoint(runtime, parts, { node, capabilities: able })
    serveVnodes(endpoint, host)
    await endpoint.open()
    cleanups.push(async () => {
      await endpoint.close()
      await host.close()
    })
    return { host, endpoint }
  }
  const near = await make('n1', VNODE_CAPABILITIES)
  const far = await make('n2', capabilities)
  const asked: string[] = []
  const endpoint: ConstructorParameters<typeof VnodeReplicas>[0]['endpoint'] = {
    capabilitiesOf: (node) => near.endpoint.capabilitiesOf(node),
    openStream: (...stream) => near.endpoint.openStream(...stream),
    call: (node, method, ...rest) => {
      asked.push(method.name)
      return near.endpoint.call(node, method, ...rest)
    },
  }
  const replicas = new VnodeReplicas({ node: 'n1', host: near.host, endpoint })
  // What a node can do is known once somebody has talked to it.
  await replicas.get(TARGET, id('none'), CALL)
  asked.length = 0
  const records = new Map<string, StoredRecord>()
  for (let n = 0; n < 6; n++) {
    const key = `k${n}`
    const { record } = await near.host.coordinate(write(id(key), content(`value ${n}`)))
    records.set(key, record)
  }
  return { near, far, replicas, records, asked }
}

describe('stores and digest reads that go to one node in one turn', () => {
  it('are one message, and stored and answered each', async () => {
    const { far, replicas, records, asked } = await setUp()
    const puts = [...records].map(([key, record]) => replicas.put(TARGET, id(key), record, CALL))
    const gets = [...records.keys()].map((key) =>
      replicas.get(TARGET, id(`${key} absent`), { ...CALL, digestOnly: true }),
    )
    for (const reply of await Promise.all(puts)) expect(reply.changed).toBe(true)
    for (const reply of await Promise.all(gets)) expect(reply.digest).toBeUndefined()
    expect(asked).toEqual(['vnode.batch'])
    for (const [key, record] of records)
      expect((await far.host.get({ partition: 1, id: id(key) })).record).toEqual(record)
  })

  it('are stored but for one that is damaged, which fails alone', async () => {
    const { far, replicas, records, asked } = await setUp()
    const outcomes = await Promise.allSettled(
      [...records].map(([key, record]) =>
        replicas.put(TARGET, id(key), key === 'k3' ? damaged(record) : record, CALL),
      ),
    )
    expect(asked).toEqual(['vnode.batch'])
    for (const [at, outcome] of outcomes.entries()) {
      if (at === 3) expect(outcome).toMatchObject({ reason: { code: 'ATOLL_CORRUPT' } })
      else expect(outcome.status).toBe('fulfilled')
      const { record } = await far.host.get({ partition: 1, id: id(`k${at}`) })
      expect(record === undefined).toBe(at === 3)
    }
  })

  it('are asked one by one of a node of the build before', async () => {
    const { replicas, records, asked } = await setUp(
      VNODE_CAPABILITIES.filter((capability) => capability !== BATCHES),
    )
    await Promise.all([...records].map(([key, record]) => replicas.put(TARGET, id(key), record, CALL)))
    expect(asked).toEqual(Array.from({ length: 6 }, () => 'vnode.put'))
  })

  it('do not hold up or wait for large ones, nor for those of which somebody wants to hear at once', async () => {
    const { near, replicas, records, asked } = await setUp()
    const { record: large } = await near.host.coordinate(write(id('large'), content('x'.repeat(20_000))))
    const heard: string[] = []
    await Promise.all([
      replicas.put(TARGET, id('large'), large, CALL),
      ...[...records].slice(0, 2).map(([key, record]) => replicas.put(TARGET, id(key), record, CALL)),
      ...[...records]
        .slice(2, 3)
        .map(([key, record]) =>
          replicas.put(TARGET, id(key), record, { ...CALL, onAccepted: () => heard.push(key) }),
        ),
    ])
    expect(asked.toSorted()).toEqual(['vnode.batch', 'vnode.put', 'vnode.put'])
    expect(heard).toEqual(['k2'])
  })
})

/** The same record, of which the value is not what its checksum says. */
function damaged(record: StoredRecord): StoredRecord {
  const siblings = record.siblings.map((sibling) => ({
    ...sibling,
    valueCrc32: (sibling.valueCrc32 ^ 1) >>> 0,
  }))
  return { ...record, siblings }
}
