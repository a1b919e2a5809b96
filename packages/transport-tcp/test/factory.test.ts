import type { TupleReader } from '@atoll/core'
import { RpcEndpoint, type TransportFactory } from '@atoll/transport'
import { type TcpFactoryOptions, type TlsFiles, tcp } from '@atoll/transport-tcp'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Authority } from './authority.ts'
import { createRuntime, SECRET, SOON } from './world.ts'

let reef: Authority
let other: Authority
let n1: TlsFiles<string>
let n2: TlsFiles<string>

beforeAll(async () => {
  reef = await Authority.create('the reef')
  other = await Authority.create('another')
  n1 = await reef.issue('n1')
  n2 = await reef.issue('n2')
})

const closing: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of closing.splice(0)) await one.close()
})

const text = {
  encode: (value: string) => ({ tuple: [value] }),
  decode: (reader: TupleReader) => reader.string(),
}
const ANYWHERE = { cluster: 'reef', listen: '127.0.0.1:0' }

/** As a node does: it listens where the factory says, and tells others where that turned out to be. */
async function openNode(node: string, factory: TransportFactory, addresses: Map<string, string>) {
  const { runtime } = createRuntime()
  const addressOf = (name: string) => (name === node ? factory.listen : (addresses.get(name) ?? ''))
  const transport = factory.create(runtime, node)
  const endpoint = new RpcEndpoint(
    runtime,
    { transport, addressOf },
    { node, clusterName: factory.clusterName },
  )
  closing.push(endpoint)
  await endpoint.open()
  addresses.set(node, factory.advertise ?? endpoint.address)
  return endpoint
}

describe('a factory', () => {
  test('makes the transports of nodes that then find each other', async () => {
    const addresses = new Map<string, string>()
    const a = await openNode('n1', tcp({ ...ANYWHERE, tls: n1 }), addresses)
    const b = await openNode('n2', tcp({ ...ANYWHERE, tls: n2 }), addresses)
    expect(b.address).toMatch(/^127\.0\.0\.1:[1-9]\d+$/)
    const asked = { name: 'test.ask', request: text, response: text }
    b.handle(asked, async (_, { from }) => from)
    expect(await a.call('n2', asked, '', SOON)).toBe('n1')
  })

  test('tells what it was made with', () => {
    const made = tcp({ ...ANYWHERE, listen: '0.0.0.0:7400', advertise: 'n1.example:7400', secret: SECRET })
    expect([made.clusterName, made.listen, made.advertise]).toEqual([
      'reef',
      '0.0.0.0:7400',
      'n1.example:7400',
    ])
    expect(tcp({ ...ANYWHERE, secret: SECRET }).advertise).toBeUndefined()
  })

  test('makes nothing for another node than that of its certificate, and for any with a secret', () => {
    const { runtime } = createRuntime()
    expect(() => tcp({ ...ANYWHERE, tls: n1 }).create(runtime, 'n2')).toThrow(
      /tls.cert must be for atoll:\/\/reef\/n2 alone, got one for n1 \(this node is called "n2"/,
    )
    const shared = tcp({ ...ANYWHERE, secret: SECRET })
    expect(() => [shared.create(runtime, 'n1'), shared.create(runtime, 'n2')]).not.toThrow()
    expect(() => shared.create(runtime, 'n 1')).toThrow(/node must be 1 to 64/)
  })

  test.each<[Record<string, unknown>, RegExp]>([
    [{ listen: undefined }, /listen must be a string, got undefined/],
    [{ listen: '7400' }, /listen must be "host:port".*got "7400"/],
    [{ advertise: 'n1.example' }, /advertise must be "host:port"/],
    [{ advertise: 'n1.example:0' }, /advertise must have a port/],
    [{ listen: '0.0.0.0:7400' }, /advertise must be given.*0\.0\.0\.0:7400/],
    [{ listen: '[::]:7400' }, /advertise must be given/],
    [{ advertise: '0.0.0.0:7400' }, /advertise must be an address of one machine, got "0\.0\.0\.0:7400"/],
    [{ advertise: '[::]:7400' }, /advertise must be an address of one machine/],
    [{ node: 'n1' }, /no option "node"/],
    [{ cluster: 'a/b' }, /cluster must be 1 to 64/],
    [{ secret: 'short' }, /at least 16 bytes/],
    [{ secret: undefined }, /secret or tls must be given/],
    [{ keepAliveMs: 0 }, /keepAliveMs/],
    [{ tls: { key: '', cert: '', ca: '' } }, /tls.cert cannot be read/],
  ])('refuses %j at once', (options, message) => {
    const all = { ...ANYWHERE, secret: SECRET, ...options } as TcpFactoryOptions
    expect(() => tcp(all)).toThrow(message)
  })

  test('refuses a certificate of another cluster, or of several nodes, at once', async () => {
    const uri = (node: string) => ({ type: 'url', value: `atoll://reef/${node}` }) as const
    const foreign = await reef.issue('n1', { cluster: 'shoal' })
    const several = await reef.issue('n1', { names: [uri('n1'), uri('n2')] })
    for (const tls of [foreign, several])
      expect(() => tcp({ ...ANYWHERE, tls })).toThrow(
        /must be for one node, by a URI such as atoll:\/\/reef\/n1, alone/,
      )
  })
})

describe('new certificates of a factory', () => {
  test('are used by the transports that it made, listening and calling, and by those that it makes', async () => {
    const both = `${reef.ca}${other.ca}`
    const factory = tcp({ ...ANYWHERE, tls: { ...n1, ca: both } })
    const [before, peer] = [factory.create(createRuntime().runtime, 'n1'), tcp({ ...ANYWHERE, tls: n2 })]
    const listener = await before.listen(factory.listen, () => {})
    const partner = await tcp({ ...ANYWHERE, tls: n2 })
      .create(createRuntime().runtime, 'n2')
      .listen(ANYWHERE.listen, () => {})
    closing.push(listener, partner)
    const calls = async (address: string, from = peer) => {
      const node = from === factory ? 'n1' : 'n2'
      const connection = await from.create(createRuntime().runtime, node).connect(address, SOON)
      connection.close()
    }
    await calls(listener.address)
    const renewed = { ...(await other.issue('n1')), ca: both }
    factory.setCertificates(renewed)
    // Whoever believes the old authority alone does not believe the new certificate, in either direction.
    const unauthorized = { code: 'ATOLL_UNAUTHORIZED' }
    await expect(calls(listener.address)).rejects.toMatchObject(unauthorized)
    await expect(before.connect(partner.address, SOON)).rejects.toMatchObject(unauthorized)
    await expect(calls(partner.address, factory)).rejects.toMatchObject(unauthorized)
    peer.setCertificates({ ...n2, ca: both })
    await calls(listener.address)
  })

  test('are not taken if they are of another node, or where there are none', () => {
    const factory = tcp({ ...ANYWHERE, tls: n1 })
    expect(() => factory.setCertificates(n2)).toThrow(/for atoll:\/\/reef\/n1 alone/)
    expect(() => factory.create(createRuntime().runtime, 'n1')).not.toThrow()
    expect(() => tcp({ ...ANYWHERE, secret: SECRET }).setCertificates(n1)).toThrow(/without tls/)
  })
})
