import { type KeyId, utf8 } from '@atoll/core'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { VNODE_CAPABILITIES } from '@atoll/vnode'
import { afterEach, describe, expect, it } from 'vitest'
import { content, id, makeHost, memoryStore, testRuntime, write } from '../../vnode/test/world.ts'
import { serveVnodes, VnodeReplicas } from '../src/index.ts'

const CALL = { timeoutMs: 60_000 }
const PLACED: KeyId = { ...id('k'), place: utf8('p') }
const INDEXES = [{ index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('x') }]
const SCAN = {
  vnodes: [{ partition: 1, slices: [0, 1, 2, 3, 4, 5, 6, 7] }],
  type: 'default',
  index: 'list',
  scope: utf8('s'),
  from: undefined,
  to: undefined,
  after: undefined,
  limit: 10,
}

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** n1 is of this build; n2 says that it can do that. */
async function two(capabilities: readonly string[]) {
  const runtime = testRuntime()
  const network = new MemoryNetwork(runtime)
  const start = async (node: string, abilities: readonly string[]) => {
    const host = makeHost(memoryStore().database, runtime, { node })
    await host.open()
    const parts = { transport: network.transport(node), addressOf: (name: string) => name }
    const endpoint = new RpcEndpoint(runtime, parts, { node, capabilities: abilities })
    serveVnodes(endpoint, host)
    await endpoint.open()
    closing.push(async () => {
      await endpoint.close()
      await host.close()
    })
    return { host, replicas: new VnodeReplicas({ node, host, endpoint }) }
  }
  const near = await start('n1', VNODE_CAPABILITIES)
  const far = await start('n2', capabilities)
  // From now on they know of each other what they can do.
  await near.replicas.get({ node: 'n2', partition: 1 }, id('none'), CALL)
  return { near, far }
}

const AT_N2 = { node: 'n2', partition: 1 }

describe('a record with a place', () => {
  it('is written, read, hinted and scanned at a node of this build', async () => {
    const { near, far } = await two(VNODE_CAPABILITIES)
    const { replicas } = near
    const { partition: _, ...request } = write(PLACED, content('v', { indexes: INDEXES }))
    const { record } = await replicas.coordinate(AT_N2, PLACED, request, CALL)
    await replicas.put(AT_N2, PLACED, record, CALL)
    expect((await replicas.get(AT_N2, PLACED, CALL)).record).toEqual(record)
    expect((await replicas.get(AT_N2, id('k'), CALL)).record).toBeUndefined()
    await replicas.hint(AT_N2, PLACED, ['n3'], CALL)
    expect(far.host.hints.all()).toEqual([{ node: 'n3', partition: 1, keys: 1, isWhole: false }])
    const { entries } = await replicas.scan('n2', SCAN, CALL)
    expect(entries.map(({ key, place }) => [key, place])).toEqual([[utf8('k'), utf8('p')]])
    expect((await replicas.scan('n2', { ...SCAN, after: entries[0] }, CALL)).entries).toEqual([])
  })

  it('is refused for a node of the build before, with what to do; everything else is served as ever', async () => {
    const { near, far } = await two(VNODE_CAPABILITIES.filter((one) => one !== 'places'))
    const { replicas } = near
    const refused = {
      code: 'ATOLL_PROTOCOL',
      transient: true,
      definite: true,
      message: 'n2 runs an earlier build, which knows no places of keys: upgrade it, and try again',
    }
    const { partition: _, ...request } = write(PLACED, content('v', { indexes: INDEXES }))
    const { record } = await near.host.coordinate({ ...request, partition: 1 })
    for (const call of [
      () => replicas.coordinate(AT_N2, PLACED, request, CALL),
      () => replicas.put(AT_N2, PLACED, record, CALL),
      () => replicas.get(AT_N2, PLACED, CALL),
      () => replicas.hint(AT_N2, PLACED, ['n3'], CALL),
    ])
      await expect(call()).rejects.toMatchObject(refused)
    expect(await far.host.count(1)).toBe(0)
    // A place that equals the key says nothing: such a record is one without.
    await replicas.put(AT_N2, { ...id('p'), place: utf8('p') }, record, CALL)
    expect((await replicas.get(AT_N2, id('p'), CALL)).record).toEqual(record)
    // That node could not read the page.
    const scan = far.replicas.scan('n1', SCAN, CALL)
    await expect(scan).rejects.toMatchObject({ code: 'ATOLL_PROTOCOL' })
  })
})
