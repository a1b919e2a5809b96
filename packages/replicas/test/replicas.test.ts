import type { StoredRecord } from '@atoll/causality'
import { TupleReader, utf8 } from '@atoll/core'
import { MemoryNetwork, type Method, RpcEndpoint } from '@atoll/transport'
import { VNODE_CAPABILITIES, type VnodeHost } from '@atoll/vnode'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  content,
  id,
  makeHost,
  memoryStore,
  type TestRuntime,
  testRuntime,
  valuesOf,
  write,
} from '../../vnode/test/world.ts'
import { serveVnodes, VnodeReplicas } from '../src/index.ts'
import { getMethod } from '../src/methods.ts'

const CALL = { timeoutMs: 60_000 }

describe('replicas near and far', () => {
  let runtime: TestRuntime
  let hosts: VnodeHost[]
  let endpoints: RpcEndpoint[]
  let replicas: VnodeReplicas

  beforeEach(async () => {
    runtime = testRuntime()
    const network = new MemoryNetwork(runtime)
    hosts = []
    endpoints = []
    for (const node of ['n1', 'n2']) {
      const host = makeHost(memoryStore().database, runtime, { node })
      await host.open()
      const parts = { transport: network.transport(node), addressOf: (name: string) => name }
      const endpoint = new RpcEndpoint(runtime, parts, { node, capabilities: VNODE_CAPABILITIES })
      serveVnodes(endpoint, host)
      await endpoint.open()
      hosts.push(host)
      endpoints.push(endpoint)
    }
    replicas = new VnodeReplicas({ node: 'n1', host: hosts[0]!, endpoint: endpoints[0]! })
  })

  afterEach(async () => {
    for (const endpoint of endpoints) await endpoint.close()
    for (const host of hosts) await host.close()
  })

  const coordinated = async (node: string, text: string, more: Parameters<typeof content>[1] = {}) => {
    const { partition, id: key, ...rest } = write(id('k'), content(text, more))
    return replicas.coordinate({ node, partition }, key, rest, CALL)
  }

  it.each(['n1', 'n2'])('are written and read alike: %s', async (node) => {
    const metadata = new Map([['type', 'text/plain']])
    const { record } = await coordinated(node, 'v', { metadata, expiresAtMs: 5 })
    expect(record.siblings[0]).toMatchObject({ metadata, expiresAtMs: 5 })
    const target = { node, partition: 1 }
    expect(await replicas.get(target, id('k'), CALL)).toEqual({ record, corrupt: false })
    expect(await replicas.get(target, id('none'), CALL)).toEqual({ record: undefined, corrupt: false })
    expect(await replicas.put(target, id('k'), record, CALL)).toEqual({ changed: false })
    const held = await hosts[node === 'n1' ? 0 : 1]!.get({ partition: 1, id: id('k') })
    expect(valuesOf(held.record)).toEqual(['v'])
    expect(await hosts[node === 'n1' ? 1 : 0]!.count(1)).toBe(0)
  })

  it.each(['n1', 'n2'])('tell a put accepted before it is durable: %s', async (node) => {
    const { record } = await coordinated(node === 'n1' ? 'n2' : 'n1', 'v')
    const events: string[] = []
    const onAccepted = () => void events.push('accepted')
    await replicas.put({ node, partition: 1 }, id('k'), record, { ...CALL, onAccepted })
    events.push('durable')
    expect(events).toEqual(['accepted', 'durable'])
  })

  it.each(['n1', 'n2'])('are scanned alike: %s', async (node) => {
    const indexes = [{ index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('p') }]
    await coordinated(node, 'v', { indexes })
    const page = await replicas.scan(
      node,
      {
        vnodes: [{ partition: 1, slices: [0, 1, 2, 3, 4, 5, 6, 7] }],
        type: 'default',
        index: 'list',
        scope: utf8('s'),
        from: utf8('a'),
        to: undefined,
        after: { term: utf8('s'), bucket: utf8('b'), key: utf8('z') },
        limit: 10,
      },
      CALL,
    )
    expect(page.done).toBe(true)
    expect(page.entries).toEqual([
      expect.objectContaining({ term: utf8('t'), bucket: utf8('b'), key: utf8('k'), payloads: [utf8('p')] }),
    ])
  })

  const damaged = (record: StoredRecord): StoredRecord => ({
    ...record,
    siblings: record.siblings.map((sibling) => ({ ...sibling, value: utf8('V') })),
  })

  it('store nothing that differs from its checksum', async () => {
    const { record } = await coordinated('n1', 'v')
    const target = { node: 'n2', partition: 1 }
    const refused = { code: 'ATOLL_CORRUPT', definite: true }
    await expect(replicas.put(target, id('k'), damaged(record), CALL)).rejects.toMatchObject(refused)
    const { partition, id: key, ...rest } = write(id('k'), content('v'))
    const bad = { ...rest, valueCrc32: rest.valueCrc32 ^ 1 }
    await expect(replicas.coordinate(target, key, bad, CALL)).rejects.toMatchObject(refused)
    expect(await hosts[1]!.count(partition)).toBe(0)
  })

  it('believe no answer that differs from its checksum', async () => {
    const { record } = await coordinated('n1', 'v')
    const answering = new VnodeReplicas({
      node: 'n1',
      host: hosts[0]!,
      endpoint: {
        capabilitiesOf: () => undefined,
        openStream: () => Promise.reject(new Error('nothing is large')),
        call: async <Request, Response, Progress>(
          _node: string,
          method: Method<Request, Response, Progress>,
        ) => {
          const { tuple, body } = getMethod.response.encode({ record: damaged(record), corrupt: false })
          return method.response.decode(new TupleReader('an answer', tuple), body ?? new Uint8Array(0))
        },
      },
    })
    const asked = answering.get({ node: 'n2', partition: 1 }, id('k'), CALL)
    await expect(asked).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
  })

  it('pass errors of the far vnode on', async () => {
    await hosts[1]!.close()
    const asked = replicas.get({ node: 'n2', partition: 1 }, id('k'), CALL)
    await expect(asked).rejects.toMatchObject({ code: 'ATOLL_CLOSED', definite: true })
  })
})
