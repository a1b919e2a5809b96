import { randomBytes } from 'node:crypto'
import { connect as connectTls } from 'node:tls'
import type { TcpOptions, TlsFiles } from '@atoll/transport-tcp'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Authority } from './authority.ts'
import { Cable } from './cable.ts'
import { createParty, Diary, listen, ManualClock, type Party, SECRET, SOON, until } from './world.ts'

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

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function listening(server: Party) {
  const all = await listen(server)
  cleanups.push(() => all.listener.close())
  return all
}

async function open(client: Party, address: string): Promise<Diary> {
  const diary = new Diary(await client.transport.connect(address, SOON))
  cleanups.push(() => diary.connection.close())
  return diary
}

/** What a client sees that is refused, after the server has served others as if nothing had happened. */
async function refused(client: Party, server: Party): Promise<unknown> {
  const { address, accepted } = await listening(server)
  const error = await client.transport.connect(address, SOON).catch((reason: unknown) => reason)
  expect(accepted).toEqual([])
  return error
}

const count = ({ metrics }: Party, reason: string) => metrics.value('atoll_tcp_refused_total', { reason })

describe('with a secret, a server refuses', () => {
  test.each<[string, string, Partial<TcpOptions>, string, string]>([
    ['a wrong secret', 'n1', { secret: 'a secret of the riff' }, 'secret', 'ATOLL_UNAUTHORIZED'],
    ['another cluster', 'n1', { cluster: 'shoal' }, 'cluster', 'ATOLL_PROTOCOL'],
    ['a second node of its own name', 'n2', {}, 'name', 'ATOLL_PROTOCOL'],
  ])('%s', async (_, node, options, reason, code) => {
    const [client, server] = [createParty(node, options), createParty('n2')]
    expect(await refused(client, server)).toMatchObject({ code, definite: true })
    expect(count(server, reason)).toBe(1)
    const { address, next } = await listening(server)
    await open(createParty('n3'), address)
    expect((await next()).identity).toBe('n3')
  })

  test('no secret at all', async () => {
    const client = createParty('n1', { tls: n1 })
    const server = createParty('n2', { tls: n2, secret: SECRET })
    expect(await refused(client, server)).toMatchObject({ code: 'ATOLL_UNAUTHORIZED', definite: true })
    expect(count(server, 'secret')).toBe(1)
    // The other way round it is the client that misses the proof.
    const demanding = createParty('n1', { tls: n1, secret: SECRET })
    const { address } = await listening(createParty('n2', { tls: n2 }))
    await expect(demanding.transport.connect(address, SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNAUTHORIZED',
    })
    expect(count(demanding, 'secret')).toBe(1)
  })
})

describe('with TLS', () => {
  test('names come from certificates, and version 1.3 is spoken', async () => {
    const server = createParty('n2', { tls: n2 })
    const { address, next } = await listening(server)
    const near = await open(createParty('n1', { tls: n1 }), address)
    const far = new Diary(await next())
    expect([near.connection.identity, far.connection.identity]).toEqual(['n2', 'n1'])
    void near.connection.send({ head: randomBytes(4), body: randomBytes(1_000_000) })
    expect((await far.received(1))[0]?.body).toHaveLength(1_000_000)
    const port = Number(address.split(':')[1])
    const socket = connectTls({ port, host: '127.0.0.1', ...n1, rejectUnauthorized: false })
    const version = await new Promise((resolve) =>
      socket.once('secureConnect', () => resolve(socket.getProtocol())),
    )
    socket.destroy()
    expect(version).toBe('TLSv1.3')
  })

  test('older versions than 1.2 are refused', async () => {
    const server = createParty('n2', { tls: n2 })
    const { address } = await listening(server)
    const port = Number(address.split(':')[1])
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const
    const socket = connectTls({ port, host: '127.0.0.1', ...n1, ...old, rejectUnauthorized: false })
    const error = await new Promise((resolve) => socket.once('error', resolve))
    expect(error).toMatchObject({ code: expect.stringMatching(/VERSION|PROTOCOL/) })
    await until(() => count(server, 'tls') === 1)
  })

  test.each<[string, () => Promise<TlsFiles<string>>, string]>([
    ['of another authority', () => other.issue('n1'), 'not accepted'],
    [
      'that has expired',
      () => reef.issue('n1', { notAfter: new Date(Date.now() - 1000) }),
      'CERT_HAS_EXPIRED',
    ],
    [
      'that is not valid yet',
      () => reef.issue('n1', { notBefore: new Date(Date.now() + 60_000) }),
      'NOT_YET_VALID',
    ],
  ])('a client with a certificate %s is refused', async (_, issue, why) => {
    const files = await issue()
    const client = createParty('n1', { tls: { ...files, ca: reef.ca } })
    const server = createParty('n2', { tls: n2 })
    expect(await refused(client, server)).toMatchObject({
      code: 'ATOLL_UNAUTHORIZED',
      definite: true,
      message: expect.stringContaining(why),
    })
    expect(count(server, 'certificate')).toBe(1)
  })

  test.each<[string, () => Promise<TlsFiles<string>>]>([
    ['of another authority', () => other.issue('n2')],
    ['that has expired', () => reef.issue('n2', { notAfter: new Date(Date.now() - 1000) })],
  ])('a server with a certificate %s is refused', async (_, issue) => {
    const files = await issue()
    const client = createParty('n1', { tls: n1 })
    const server = createParty('n2', { tls: { ...files, ca: reef.ca } })
    expect(await refused(client, server)).toMatchObject({ code: 'ATOLL_UNAUTHORIZED', definite: true })
    expect(count(client, 'certificate')).toBe(1)
  })

  test('a node of another cluster of the same authority is refused', async () => {
    const client = createParty('n1', { cluster: 'shoal', tls: await reef.issue('n1', { cluster: 'shoal' }) })
    const server = createParty('n2', { tls: n2 })
    expect(await refused(client, server)).toMatchObject({ code: 'ATOLL_UNAUTHORIZED', definite: true })
    expect(count(client, 'certificate') + count(server, 'certificate')).toBeGreaterThan(0)
  })

  test('a stranger who shows no certificate is refused, whatever it says', async () => {
    const server = createParty('n2', { tls: n2 })
    const { address, accepted } = await listening(server)
    const port = Number(address.split(':')[1])
    const socket = connectTls({ port, host: '127.0.0.1', ca: reef.ca, rejectUnauthorized: false })
    await new Promise((resolve) =>
      socket
        .once('close', resolve)
        .resume()
        .on('error', () => {}),
    )
    expect(count(server, 'certificate')).toBe(1)
    expect(accepted).toEqual([])
  })

  test('a certificate with several names of ours, or with one inside another, is refused', async () => {
    const uri = (node: string) => ({ type: 'url', value: `atoll://reef/${node}` }) as const
    const server = createParty('n2', { tls: n2 })
    const { address, accepted } = await listening(server)
    const port = Number(address.split(':')[1])
    const several = await reef.issue('n1', { names: [uri('n1'), uri('n3')] })
    const hidden = await reef.issue('n1', { names: [{ type: 'dns', value: 'x, URI:atoll://reef/n1, y' }] })
    const none = await reef.issue('n1', { names: [{ type: 'dns', value: 'n1.reef.example' }] })
    for (const files of [several, hidden, none]) {
      const socket = connectTls({ port, host: '127.0.0.1', ...files, rejectUnauthorized: false })
      await new Promise((resolve) =>
        socket
          .once('close', resolve)
          .resume()
          .on('error', () => {}),
      )
    }
    expect(count(server, 'certificate')).toBe(3)
    expect(accepted).toEqual([])
  })

  test('other names beside the one of ours do not matter', async () => {
    const names = [
      { type: 'dns', value: 'n1.example' },
      { type: 'url', value: 'atoll://reef/n1' },
      { type: 'url', value: 'atoll://shoal/n7' },
    ] as const
    const client = createParty('n1', { tls: await reef.issue('n1', { names: [...names] }) })
    const { address, next } = await listening(createParty('n2', { tls: n2 }))
    await open(client, address)
    expect((await next()).identity).toBe('n1')
  })

  test('a caller without TLS is refused, and one with TLS by a server without: each side says what the other one is', async () => {
    const secure = createParty('n2', { tls: n2 })
    expect(await refused(createParty('n1'), secure)).toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
      message: expect.stringMatching(/the other side speaks TLS.*give it the option tls/),
      details: { reason: 'tls', expects: 'tls' },
    })
    expect(count(secure, 'tls')).toBe(1)
    const plain = createParty('n2')
    expect(await refused(createParty('n1', { tls: n1 }), plain)).toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
      message: expect.stringMatching(/the other side does not speak TLS, for which this node is set up/),
      details: { reason: 'tls', expects: 'no-tls' },
    })
    expect(count(plain, 'tls')).toBe(1)
  })
})

describe('new certificates', () => {
  test('are used by connections from now on, while those that stand stay', async () => {
    const server = createParty('n2', { tls: n2 })
    const client = createParty('n1', { tls: n1 })
    const { address, next } = await listening(server)
    const before = await open(client, address)
    const farBefore = new Diary(await next())
    // The whole cluster moves to another authority: first both are believed, then all are of the new one.
    const both = `${reef.ca}${other.ca}`
    server.transport.setCertificates({ ...n2, ca: both })
    client.transport.setCertificates({ ...(await other.issue('n1')), ca: both })
    await open(client, address)
    expect((await next()).identity).toBe('n1')
    server.transport.setCertificates(await other.issue('n2'))
    await open(client, address)
    expect((await next()).identity).toBe('n1')
    await expect(
      createParty('n3', { tls: await reef.issue('n3') }).transport.connect(address, SOON),
    ).rejects.toMatchObject({
      code: 'ATOLL_UNAUTHORIZED',
    })
    void before.connection.send({ head: Uint8Array.of(1) })
    expect(await farBefore.received(1)).toHaveLength(1)
  })

  test('that cannot be used change nothing', async () => {
    const server = createParty('n2', { tls: n2 })
    const { address } = await listening(server)
    const set = (files: Partial<TlsFiles<string>>) => () =>
      server.transport.setCertificates({ ...n2, ...files })
    expect(set({ key: n1.key })).toThrow(/tls.key must be the key of tls.cert/)
    expect(set(n1)).toThrow(/tls.cert must be for atoll:\/\/reef\/n2 alone/)
    expect(set({ cert: 'nonsense' })).toThrow(/tls.cert cannot be read/)
    expect(set({ ca: '' })).toThrow(/tls.ca cannot be read/)
    expect(() => createParty('n1').transport.setCertificates(n1)).toThrow(/without tls/)
    const hour = 3_600_000
    const dates = [{ notAfter: new Date(Date.now() - 1000) }, { notBefore: new Date(Date.now() + hour / 2) }]
    for (const when of dates)
      expect(set(await reef.issue('n2', when))).toThrow(
        /tls.cert must be valid now \(.*Z\), and is from .*Z to .*Z/,
      )
    await open(createParty('n1', { tls: n1 }), address)
  })
})

describe('two processes of one name', () => {
  test('do not talk to the same node: the first one that lives stays', async () => {
    const server = createParty('n2')
    const { address, next } = await listening(server)
    const first = await open(createParty('n1'), address)
    const far = new Diary(await next())
    await expect(createParty('n1').transport.connect(address, SOON)).rejects.toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
      message: expect.stringContaining('another process has the name n1'),
    })
    expect(count(server, 'name')).toBe(1)
    void first.connection.send({ head: Uint8Array.of(1) })
    expect(await far.received(1)).toHaveLength(1)
  })

  test('follow each other when the first has closed its connections', async () => {
    const { address, next } = await listening(createParty('n2'))
    const first = await open(createParty('n1'), address)
    const far = new Diary(await next())
    first.connection.close()
    await far.closed
    await open(createParty('n1'), address)
    expect((await next()).identity).toBe('n1')
  })

  test('follow each other when the first has died without a word', async () => {
    const clock = new ManualClock()
    const server = createParty('n2', {}, clock)
    const { address, next } = await listening(server)
    const cable = new Cable(address)
    cleanups.push(() => cable.close())
    await cable.listen()
    await open(createParty('n1'), cable.address)
    const far = new Diary(await next())
    cable.freeze()
    const successor = createParty('n1')
    // What was heard before counts for one tick; the next one is silent.
    clock.advance(1000)
    await expect(successor.transport.connect(address, SOON)).rejects.toMatchObject({ code: 'ATOLL_PROTOCOL' })
    clock.advance(1000)
    await open(successor, address)
    expect((await next()).identity).toBe('n1')
    expect(await far.closed).toMatchObject({ code: 'ATOLL_UNREACHABLE', details: { reason: 'replaced' } })
  })
})
