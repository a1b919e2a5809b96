import { connect, type Socket } from 'node:net'
import { concatBytes } from '@atoll/core'
import { encodeFrame, RpcEndpoint } from '@atoll/transport'
import { type TcpFactoryOptions, type TlsFiles, tcp } from '@atoll/transport-tcp'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Authority } from './authority.ts'
import { Cable } from './cable.ts'
import { createTalker, ECHO, PUT } from './talk.ts'
import { SECRET, until } from './world.ts'

const KiB = 1024
/** Only what hangs meets it. */
const SOON = { timeoutMs: 150_000 }

let reef: Authority
let other: Authority
beforeAll(async () => {
  reef = await Authority.create('the reef')
  other = await Authority.create('another')
})

const closing: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close()
})

type Given = Partial<TcpFactoryOptions>

/** A node at a free port of this machine that calls `to` whoever it calls. */
async function openNode(node: string, given: Given, to = 'nowhere:1') {
  const options = { cluster: 'reef', listen: '127.0.0.1:0', maxBodyBytes: 64 * KiB, ...given }
  const talker = createTalker(node, tcp(options), () => to)
  closing.push(talker.endpoint)
  await talker.endpoint.open()
  return talker
}

type Talker = Awaited<ReturnType<typeof openNode>>

/** How often `talker` turned somebody away, or gave up a connection, for this reason. */
const countOf = ({ metrics }: Talker, name: string, reason: string) => metrics.value(name, { reason })

/** What all that follows must leave as it was: nodes that talk. */
async function expectUnharmed(server: Talker, given: Given, name = 'n9') {
  const friend = await openNode(name, given, server.endpoint.address)
  expect(await friend.endpoint.call('n2', ECHO, 'well', SOON)).toBe(`well from ${name}`)
}

const expired = () => reef.issue('n1', { notAfter: new Date(Date.now() - 1000) })
/** Believes the reef, and shows something else. */
const believing = (files: TlsFiles<string>) => ({ tls: { ...files, ca: reef.ca } })

interface Wrong {
  readonly what: string
  /** Whether the nodes that are right use TLS or a secret. */
  readonly tls: boolean
  readonly caller: () => Promise<Given>
  readonly name?: string
  readonly reason: string
  readonly code: string
}

const WRONG: readonly Wrong[] = [
  {
    what: 'a node of another cluster, over TCP',
    tls: false,
    caller: async () => ({ cluster: 'shoal', secret: SECRET }),
    reason: 'cluster',
    code: 'ATOLL_PROTOCOL',
  },
  {
    what: 'a wrong secret',
    tls: false,
    caller: async () => ({ secret: 'a secret of the riff' }),
    reason: 'secret',
    code: 'ATOLL_UNAUTHORIZED',
  },
  {
    what: 'the name of the node that is called, over TCP',
    tls: false,
    caller: async () => ({ secret: SECRET }),
    name: 'n2',
    reason: 'name',
    code: 'ATOLL_PROTOCOL',
  },
  {
    what: 'the name of the node that is called, over TLS',
    tls: true,
    caller: async () => ({ tls: await reef.issue('n2') }),
    name: 'n2',
    reason: 'name',
    code: 'ATOLL_PROTOCOL',
  },
  {
    what: 'an expired certificate',
    tls: true,
    caller: async () => believing(await expired()),
    reason: 'certificate',
    code: 'ATOLL_UNAUTHORIZED',
  },
  {
    what: 'a certificate of another authority',
    tls: true,
    caller: async () => believing(await other.issue('n1')),
    reason: 'certificate',
    code: 'ATOLL_UNAUTHORIZED',
  },
]

describe('refused by the node that is called, with a code that the caller sees, counted by both', () => {
  test.each(WRONG)('$what', async ({ tls, caller, name = 'n1', reason, code }) => {
    const right = async (node: string): Promise<Given> =>
      tls ? { tls: await reef.issue(node) } : { secret: SECRET }
    const server = await openNode('n2', await right('n2'))
    const wrong = await openNode(name, await caller(), server.endpoint.address)
    const target = name === 'n2' ? 'n3' : 'n2'
    await expect(wrong.endpoint.call(target, ECHO, '', SOON)).rejects.toMatchObject({ code, definite: true })
    expect(countOf(server, 'atoll_tcp_refused_total', reason)).toBe(1)
    expect(wrong.metrics.value('atoll_rpc_unreached_total', { code })).toBe(1)
    await expectUnharmed(server, await right('n9'))
  })

  test('a node of another cluster of the same authority: the certificate of whoever is called is looked at first', async () => {
    const server = await openNode('n2', { tls: await reef.issue('n2') })
    const options = { cluster: 'shoal', tls: await reef.issue('n1', { cluster: 'shoal' }) }
    const wrong = await openNode('n1', options, server.endpoint.address)
    const code = 'ATOLL_UNAUTHORIZED'
    await expect(wrong.endpoint.call('n2', ECHO, '', SOON)).rejects.toMatchObject({ code, definite: true })
    expect(countOf(wrong, 'atoll_tcp_refused_total', 'certificate')).toBe(1)
    // The called node hears no more than that the caller hung up, or why, if its own look was faster.
    const seen = () =>
      ['certificate', 'reset', 'told'].map((reason) => countOf(server, 'atoll_tcp_refused_total', reason))
    await until(() => seen().some((count) => count > 0))
    expect(wrong.metrics.value('atoll_rpc_unreached_total', { code })).toBe(1)
    await expectUnharmed(server, { tls: await reef.issue('n9') })
  })

  test('a second process of a name that is connected', async () => {
    const server = await openNode('n2', { secret: SECRET })
    const first = await openNode('n1', { secret: SECRET }, server.endpoint.address)
    await first.endpoint.call('n2', ECHO, '', SOON)
    const second = await openNode('n1', { secret: SECRET }, server.endpoint.address)
    const code = 'ATOLL_PROTOCOL'
    await expect(second.endpoint.call('n2', ECHO, '', SOON)).rejects.toMatchObject({ code, definite: true })
    expect(countOf(server, 'atoll_tcp_refused_total', 'name')).toBe(1)
    expect(second.metrics.value('atoll_rpc_unreached_total', { code })).toBe(1)
    expect(await first.endpoint.call('n2', ECHO, 'still', SOON)).toBe('still from n1')
  })

  test('a node that the transport lets in, of a cluster of another id', async () => {
    const server = await openNode('n2', { secret: SECRET })
    const factory = tcp({ cluster: 'reef', secret: SECRET, listen: '127.0.0.1:0' })
    const { metrics, runtime } = server
    const wrong = new RpcEndpoint(
      runtime,
      {
        transport: factory.create(runtime, 'n1'),
        addressOf: (node) => (node === 'n1' ? factory.listen : server.endpoint.address),
      },
      { node: 'n1', clusterName: 'another' },
    )
    closing.push(wrong)
    await wrong.open()
    await expect(wrong.call('n2', ECHO, '', SOON)).rejects.toMatchObject({ code: 'ATOLL_PROTOCOL' })
    expect(metrics.value('atoll_rpc_refused_total', { code: 'ATOLL_PROTOCOL' })).toBe(1)
    await expectUnharmed(server, { secret: SECRET })
  })
})

describe('a connection is ended, with a code and a count', () => {
  test('by a frame over the limit of the receiver, for both sides', async () => {
    const server = await openNode('n2', { secret: SECRET })
    const generous = { secret: SECRET, maxBodyBytes: 1024 * KiB }
    const wrong = await openNode('n1', generous, server.endpoint.address)
    const body = new Uint8Array(65 * KiB)
    await expect(wrong.endpoint.call('n2', PUT, body, SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: false,
      cause: { code: 'ATOLL_TOO_LARGE' },
    })
    expect(countOf(server, 'atoll_tcp_lost_total', 'too-large')).toBe(1)
    expect(countOf(wrong, 'atoll_tcp_lost_total', 'told')).toBe(1)
    await expectUnharmed(server, { secret: SECRET })
  })

  test('by a frame that is cut short', async () => {
    const server = await openNode('n2', { secret: SECRET })
    const cable = new Cable(server.endpoint.address)
    closing.push(cable)
    await cable.listen()
    const wrong = await openNode('n1', { secret: SECRET }, cable.address)
    await wrong.endpoint.call('n2', ECHO, '', SOON)
    // The last bytes that pass are the first ones of a frame that never comes to its end.
    const [header] = encodeFrame({ head: Uint8Array.of(1), body: new Uint8Array(1000) })
    const started = concatBytes([Uint8Array.of(1, 0, 4, 0), header ?? new Uint8Array()])
    cable.cutAfter(started)
    await until(() => countOf(server, 'atoll_tcp_lost_total', 'reset') === 1)
    await expectUnharmed(server, { secret: SECRET })
  })
})

test('words of no node at all are refused and counted, whatever they are', async () => {
  const server = await openNode('n2', { secret: SECRET })
  const port = Number(server.endpoint.address.split(':')[1])
  const said = [
    Buffer.from('GET / HTTP/1.1\r\nHost: n2\r\n\r\n'),
    Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
    // The beginning of a TLS handshake.
    Buffer.from('16030100c8010000c40303', 'hex'),
    Buffer.alloc(10_000, 0xff),
    Buffer.alloc(10_000),
  ]
  for (const words of said) await speak(port, words)
  await until(
    () =>
      ['malformed', 'too-large', 'reset', 'tls'].reduce(
        (sum, reason) => sum + countOf(server, 'atoll_tcp_refused_total', reason),
        0,
      ) === said.length,
  )
  expect(server.endpoint.peers).toEqual([])
  await expectUnharmed(server, { secret: SECRET })
})

/** Says something, and waits to be shown the door. */
async function speak(port: number, words: Uint8Array): Promise<void> {
  const socket: Socket = connect({ port, host: '127.0.0.1' })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => {}).resume()
  socket.end(words)
  await closed
}
