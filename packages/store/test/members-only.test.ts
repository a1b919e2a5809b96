import { EMPTY_BYTES, utf8 } from '@atoll/core'
import { systemRuntime } from '@atoll/node'
import { type Method, RpcEndpoint } from '@atoll/transport'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { getMethod, putMethod } from '../../replicas/src/methods.ts'
import { Authority } from '../../transport-tcp/test/authority.ts'
import { type OpenNodeOptions, openNode, tcp } from '../src/index.ts'

/** Only what hangs meets it. */
const SOON = { timeoutMs: 150_000 }
const ANYWHERE = { cluster: 'reef', listen: '127.0.0.1:0' }
const ROUTING = { role: 'primary', epoch: 0, forwards: 0, bySeal: false } as const
const KEY = { type: 'default', bucket: utf8('b'), key: utf8('k') }
const GET = { partition: 0, id: KEY, routing: ROUTING }

let authority: Authority
beforeAll(async () => {
  authority = await Authority.create('the reef')
})

const closing: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close()
})

async function transportOf(node: string) {
  return tcp({ ...ANYWHERE, tls: await authority.issue(node) })
}

async function nodeOf(name: string, options: OpenNodeOptions = {}) {
  const node = await openNode({ name, transport: await transportOf(name), ...options })
  closing.push(node)
  return node
}

/** A program with a certificate of the cluster's authority that is no member. */
async function stranger(to: string) {
  const runtime = systemRuntime()
  const transport = (await transportOf('n9')).create(runtime, 'n9')
  const endpoint = new RpcEndpoint(
    runtime,
    { transport, addressOf: (node) => (node === 'n9' ? ANYWHERE.listen : to) },
    { node: 'n9', clusterName: 'reef' },
  )
  closing.push(runtime, endpoint)
  await endpoint.open()
  return endpoint
}

/** What anybody may ask a node for who wants to join its cluster. */
const documentMethod: Method<null, Uint8Array> = {
  name: 'node.document',
  request: { encode: () => ({ tuple: [] }), decode: () => null },
  response: { encode: () => ({ tuple: [] }), decode: (_reader, body) => body },
}

describe('a certificate of the authority', () => {
  test('makes nobody a member: others read nothing, write nothing, and may ask for the document', async () => {
    const n1 = await nodeOf('n1', { begin: true })
    const intruder = await stranger(n1.address)
    const unauthorized = { code: 'ATOLL_UNAUTHORIZED', definite: true }
    await expect(intruder.call('n1', getMethod, GET, SOON)).rejects.toMatchObject(unauthorized)
    const record = { clock: new Map(), siblings: [] }
    await expect(intruder.call('n1', putMethod, { ...GET, record }, SOON)).rejects.toMatchObject(unauthorized)
    const tell = { ...documentMethod, name: 'node.news' }
    await expect(intruder.call('n1', tell, null, SOON)).rejects.toMatchObject(unauthorized)
    expect((await intruder.call('n1', documentMethod, null, SOON)).length).toBeGreaterThan(EMPTY_BYTES.length)
    expect(n1.cluster.status().members.map(({ node }) => node)).toEqual(['n1'])
  })

  test('is enough where it is said that others than members may call', async () => {
    const n1 = await nodeOf('n1', { begin: true, membersOnly: false })
    const intruder = await stranger(n1.address)
    expect(await intruder.call('n1', getMethod, GET, SOON)).toMatchObject({ record: undefined })
  })
})

test('a member that a node has not heard of yet is asked about, and served', async () => {
  const n1 = await nodeOf('n1', { begin: true })
  const n2 = await nodeOf('n2', { seeds: [n1.address] })
  await n1.objects.createBucket('letters')
  // n3 joins through n1 alone, and calls n2 at once.
  const n3 = await nodeOf('n3', { seeds: [n1.address] })
  await n3.objects.put('letters', '1', 'Dear reader,')
  for (const node of [n1, n2, n3]) expect((await node.objects.head('letters', '1')).size).toBe(12)
  await expect(openNode({ membersOnly: 1 as unknown as boolean })).rejects.toThrow(
    /membersOnly must be a boolean, got 1/,
  )
})
