import { concatBytes, type TupleReader } from '@atoll/core'
import { type Method, RpcEndpoint, type StreamMethod } from '@atoll/transport'
import type { TcpOptions } from '@atoll/transport-tcp'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Authority } from './authority.ts'
import { createParty, freePort } from './world.ts'

const text = {
  encode: (value: string) => ({ tuple: [value] }),
  decode: (reader: TupleReader) => reader.string(),
}
const bytes = {
  encode: (body: Uint8Array) => ({ tuple: [], body }),
  decode: (_: TupleReader, body: Uint8Array) => body,
}
const ECHO: Method<string, string> = { name: 'test.echo', request: text, response: text }
const PING: Method<string, string> = { name: 'test.ping', request: text, response: text, urgent: true }
const PUT: Method<Uint8Array, string> = { name: 'test.put', request: bytes, response: text }
const COPY: StreamMethod<string> = { name: 'test.copy', request: text }
/** Only what hangs meets it. */
const SOON = { timeoutMs: 150_000 }

let authority: Authority
beforeAll(async () => {
  authority = await Authority.create('the reef')
})

const closing: RpcEndpoint[] = []
afterEach(async () => {
  for (const endpoint of closing.splice(0)) await endpoint.close()
})

type Secure = (node: string) => Promise<Partial<TcpOptions>>

async function createWorld(secure: Secure) {
  const addresses = new Map<string, string>()
  for (const node of ['n1', 'n2', 'n3']) addresses.set(node, `127.0.0.1:${await freePort()}`)
  const addressOf = (node: string) => addresses.get(node) ?? 'nowhere:1'
  return async (node: string, tcpName = node) => {
    const { transport, runtime, metrics } = createParty(tcpName, await secure(tcpName))
    const options = { node, connectTimeoutMs: SOON.timeoutMs }
    const endpoint = new RpcEndpoint(runtime, { transport, addressOf }, options)
    closing.push(endpoint)
    endpoint.handle(ECHO, async (request, { from }) => `${request} from ${from}`)
    endpoint.handle(PING, async () => 'alive')
    endpoint.handle(PUT, async (body, { ownsBody }) => {
      // Nobody else has it, so that it can be given back.
      expect(ownsBody).toBe(true)
      return String(body.length)
    })
    endpoint.handleStream(COPY, async (_request, stream) => {
      for await (const chunk of stream) await stream.write(chunk)
      await stream.end()
    })
    await endpoint.open()
    return { endpoint, metrics }
  }
}

const worlds: [string, Secure][] = [
  ['TCP', async () => ({})],
  ['TLS', async (node) => ({ tls: await authority.issue(node) })],
]

describe.each(worlds)('nodes that talk over %s', (_, secure) => {
  test('call each other', async () => {
    const create = await createWorld(secure)
    const [{ endpoint: a }, { endpoint: b }] = [await create('n1'), await create('n2')]
    const calls = Array.from({ length: 300 }, (_unused, at) => a.call('n2', ECHO, String(at), SOON))
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 300 }, (_unused, at) => `${at} from n1`))
    expect(await b.call('n1', ECHO, 'back', SOON)).toBe('back from n2')
    expect([a.peers, b.peers]).toEqual([['n2'], ['n1']])
  })

  test('stream 20 MB there and back', async () => {
    const create = await createWorld(secure)
    const [{ endpoint: a }] = [await create('n1'), await create('n2')]
    const stream = await a.openStream('n2', COPY, '')
    const sent = Array.from({ length: 20 }, (_unused, at) => new Uint8Array(1_000_000).fill(at))
    const writing = (async () => {
      for (const chunk of sent) await stream.write(chunk)
      await stream.end()
    })()
    const back: Uint8Array[] = []
    for await (const chunk of stream) back.push(chunk)
    await writing
    expect(Buffer.compare(concatBytes(back), concatBytes(sent))).toBe(0)
  })

  test('hear a heartbeat before 64 MiB of blocks that were sent earlier', async () => {
    const create = await createWorld(secure)
    const [{ endpoint: a }] = [await create('n1'), await create('n2')]
    await a.call('n2', ECHO, 'hello', SOON)
    const answers: string[] = []
    const block = new Uint8Array(4 * 1024 * 1024)
    const puts = Array.from({ length: 16 }, async (_unused, at) => {
      await a.call('n2', PUT, block, SOON)
      answers.push(`block ${at}`)
    })
    await puts[0]
    answers.push(await a.call('n2', PING, '', SOON))
    await Promise.all(puts)
    expect(answers).toHaveLength(17)
    expect(answers.indexOf('alive')).toBeLessThan(8)
  })

  test('come back to a node that was restarted', async () => {
    const create = await createWorld(secure)
    const [{ endpoint: a }, { endpoint: b }] = [await create('n1'), await create('n2')]
    await a.call('n2', ECHO, '', SOON)
    await b.close()
    // How long the pauses between attempts are is a matter of time, and tested where that is virtual.
    for (let failed = 0; failed < 200; failed++) {
      await expect(a.call('n2', ECHO, '', SOON)).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE' })
      await new Promise((resolve) => setImmediate(resolve))
    }
    await create('n2')
    let answer = ''
    while (answer === '') {
      answer = await a.call('n2', ECHO, 'again', SOON).catch(() => '')
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(answer).toBe('again from n1')
  })

  test('do not believe a name that is not the proven one', async () => {
    const create = await createWorld(secure)
    const { metrics } = await create('n2')
    const { endpoint: impostor } = await create('n3', 'n1')
    await expect(impostor.call('n2', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNAUTHORIZED',
      definite: true,
    })
    expect(metrics.value('atoll_rpc_refused_total', { code: 'ATOLL_UNAUTHORIZED' })).toBe(1)
    const { endpoint: honest } = await create('n1')
    expect(await honest.call('n2', ECHO, 'hello', SOON)).toBe('hello from n1')
  })
})
