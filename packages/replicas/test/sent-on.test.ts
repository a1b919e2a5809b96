import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { VNODE_CAPABILITIES, type VnodeHost } from '@atoll/vnode'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { content, id, makeHost, memoryStore, testRuntime, write } from '../../vnode/test/world.ts'
import { type Ownership, serveVnodes, VnodeReplicas, type VnodeTarget } from '../src/index.ts'

const CALL = { timeoutMs: 60_000 }
const KEY = id('k')
/**
 * Of the documents that `former` has handed its partition over by, and in which `present` is an older copy or has more
 * holders beside it.
 */
const MOVED = 6
const NOW = 9
const REFUSED = { code: 'ATOLL_UNREACHABLE', definite: true, transient: true }

/**
 * `asker` goes by an old document, in which partition 1 is `former`'s; that one has handed it over to `present`. `former`
 * has, or has not, the newest document; `present` has.
 */
describe.each([NOW, NOW - 1])('a request that is sent on by a node with epoch %i', (formerEpoch) => {
  let hosts: VnodeHost[]
  let endpoints: RpcEndpoint[]
  let replicas: VnodeReplicas
  let known: Partial<Ownership>

  beforeEach(async () => {
    const runtime = testRuntime()
    const network = new MemoryNetwork(runtime)
    hosts = []
    endpoints = []
    known = {}
    const open = async (node: string, ownership?: () => Ownership) => {
      const host = makeHost(memoryStore().database, runtime, { node })
      await host.open()
      const parts = { transport: network.transport(node), addressOf: (name: string) => name }
      // Of the three the one that has the partition now is of a build before.
      const capabilities = node === 'present' ? [] : VNODE_CAPABILITIES
      const endpoint = new RpcEndpoint(runtime, parts, { node, capabilities })
      serveVnodes(endpoint, host, { ownership })
      await endpoint.open()
      hosts.push(host)
      endpoints.push(endpoint)
      return { host, endpoint }
    }
    replicas = new VnodeReplicas({ node: 'asker', ...(await open('asker')) })
    const ownerOf = () => 'present'
    const isNew = formerEpoch === NOW
    await open('former', () => ({ ...(isNew ? known : {}), epoch: formerEpoch, ownerOf }))
    const own = () => ({ readsFrom: known.readsFromOf?.('present') ?? 0, grownAt: known.grownAt })
    await open('present', () => ({ ...own(), epoch: NOW, ownerOf }))
  })

  afterEach(async () => {
    for (const endpoint of endpoints) await endpoint.close()
    for (const host of hosts) await host.close()
  })

  const at = (epoch: number): VnodeTarget => ({ node: 'former', partition: 1, epoch })
  const get = (epoch: number) => replicas.get(at(epoch), KEY, CALL)
  const scan = (epoch: number) =>
    replicas.scan(
      'former',
      {
        vnodes: [{ partition: 1, slices: [1] }],
        type: 'default',
        index: 'list',
        scope: KEY.key,
        from: undefined,
        to: undefined,
        after: undefined,
        limit: 10,
        epoch,
      },
      CALL,
    )
  const put = async (epoch: number) => {
    const { partition: _, id: key, ...rest } = write(KEY, content('v'))
    return replicas.coordinate(at(epoch), key, rest, CALL)
  }

  it('is served where the partition is now', async () => {
    expect((await put(MOVED - 1)).record.siblings).toHaveLength(1)
    expect((await get(MOVED - 1)).record?.siblings).toHaveLength(1)
    expect(await scan(MOVED - 1)).toEqual({ entries: [], done: true })
    expect(await hosts[2]?.count(1)).toBe(1)
  })

  it('does not ask a node of a build before to tell what it decides', async () => {
    await put(MOVED - 1)
    const { partition: _, id: key, ...rest } = write(id('other'), content('v'))
    let told = 0
    const onDecided = () => {
      told += 1
    }
    const reply = await replicas.coordinate(at(MOVED - 1), key, rest, { ...CALL, onDecided })
    expect([reply.record.siblings.length, told]).toEqual([1, 0])
  })

  it('is not read from an older copy for whoever does not know that it is one', async () => {
    known = { readsFromOf: (node) => (node === 'present' ? NOW : 0) }
    for (const read of [get, scan]) await expect(read(MOVED - 1)).rejects.toMatchObject(REFUSED)
    expect((await put(MOVED - 1)).record.siblings).toHaveLength(1)
  })

  it('is not served for whoever goes by a list from before it got longer', async () => {
    known = { grownAt: [0, NOW] }
    for (const ask of [get, scan, put]) await expect(ask(MOVED - 1)).rejects.toMatchObject(REFUSED)
    expect(await hosts[2]?.count(1)).toBe(0)
  })
})
