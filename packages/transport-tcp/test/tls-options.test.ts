import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '@atoll/core'
import type { Connection } from '@atoll/transport'
import { type TlsFiles, type TlsOptions, type TlsPaths, tcp, tcpTransport } from '@atoll/transport-tcp'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Authority } from './authority.ts'
import { createParty, createRuntime, listen, ManualClock, SOON, until } from './world.ts'

let reef: Authority
let other: Authority
beforeAll(async () => {
  reef = await Authority.create('the reef')
  other = await Authority.create('another')
})

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const ANYWHERE = { cluster: 'reef', listen: '127.0.0.1:0' }

/** What the other side takes this one for. */
async function identities(client: TlsOptions, server: TlsOptions): Promise<(string | undefined)[]> {
  const { address, next, listener } = await listen(createParty('n2', { tls: server }))
  closing.push(() => listener.close())
  const near: Connection = await createParty('n1', { tls: client }).transport.connect(address, SOON)
  closing.push(() => near.close())
  return [near.identity, (await next()).identity]
}

const asBytes = ({ key, cert, ca }: TlsFiles<string>): TlsFiles => ({
  key: Buffer.from(key),
  cert: new TextEncoder().encode(cert),
  ca: Buffer.from(ca),
})

test('PEM is taken as text and as bytes', async () => {
  expect(await identities(asBytes(await reef.issue('n1')), await reef.issue('n2'))).toEqual(['n2', 'n1'])
})

describe('the form of the names in certificates can be chosen', () => {
  const uri = 'spiffe://example.org/atoll/{cluster}/{node}'
  const issue = async (node: string, name: string) => ({
    ...(await reef.issue(node, { names: [{ type: 'url', value: name }] })),
    uri,
  })

  test('and nodes of it find each other', async () => {
    const [n1, n2] = await Promise.all(
      ['n1', 'n2'].map((node) => issue(node, `spiffe://example.org/atoll/reef/${node}`)),
    )
    expect(await identities(n1!, n2!)).toEqual(['n2', 'n1'])
  })

  test.each([
    'atoll://reef/n1',
    'spiffe://example.org/atoll/shoal/n1',
    'spiffe://example.org/atoll/reef/n1/x',
    'spiffe://example.org/atoll/reef/',
    'spiffe://example.org/atoll/reef/..',
    'xspiffe://example.org/atoll/reef/n1',
  ])('and %s is not one of them', async (name) => {
    const tls = await issue('n1', name)
    expect(() => tcp({ ...ANYWHERE, tls })).toThrow(
      /by a URI such as spiffe:\/\/example.org\/atoll\/reef\/n1/,
    )
  })

  test.each([
    'spiffe://example.org/{cluster}',
    'spiffe://{node}/x',
    'spiffe://x/{zone}/{node}',
    '{node}',
    'x y://a/{node}',
  ])('but not as %s', async (form) => {
    const tls = { ...(await reef.issue('n1')), uri: form }
    expect(() => tcp({ ...ANYWHERE, tls })).toThrow(/tls.uri must/)
  })
})

describe('certificates in files', () => {
  async function inFiles(files: TlsFiles) {
    const directory = await mkdtemp(join(tmpdir(), 'atoll-tls-'))
    closing.push(() => rm(directory, { recursive: true }))
    const paths: TlsPaths = {
      keyFile: join(directory, 'key.pem'),
      certFile: join(directory, 'cert.pem'),
      caFile: join(directory, 'ca.pem'),
    }
    const write = async ({ key, cert, ca }: Partial<TlsFiles>) => {
      if (key !== undefined) await writeFile(paths.keyFile, key)
      if (cert !== undefined) await writeFile(paths.certFile, cert)
      if (ca !== undefined) await writeFile(paths.caFile, ca)
    }
    await write(files)
    return { directory, paths, write }
  }

  /** A node that listens, whose clock and log are in the hands of the test. */
  async function serve(paths: TlsPaths) {
    const clock = new ManualClock()
    clock.advance(Date.now())
    const lines: string[] = []
    const note = (_facts: object, line: string) => lines.push(line)
    const log: Log = { debug: () => {}, info: note, warn: () => {}, error: note }
    const { runtime } = createRuntime(clock)
    const transport = tcpTransport({ ...runtime, log }, { node: 'n2', cluster: 'reef', tls: paths })
    const listener = await transport.listen('127.0.0.1:0', () => {})
    closing.push(() => listener.close())
    const isReached = async () => {
      const client = createParty('n1', { tls: await other.issue('n1') }).transport
      const connection = await client.connect(listener.address, SOON).catch(() => undefined)
      connection?.close()
      return connection !== undefined
    }
    return { clock, lines, isReached, listener }
  }

  test('are used, and read anew when they change', async () => {
    const { paths, write } = await inFiles(await reef.issue('n2'))
    const { clock, lines, isReached, listener } = await serve(paths)
    expect(await isReached()).toBe(false)
    const renewed = await other.issue('n2')
    // The key comes first: for a moment the files do not fit together.
    await write({ key: renewed.key })
    clock.advance(5000)
    clock.advance(5000)
    expect(lines).toEqual(['the certificates in the files are not taken'])
    await write(renewed)
    clock.advance(5000)
    expect(lines.at(-1)).toBe('the certificates were renewed')
    expect(await isReached()).toBe(true)
    await listener.close()
    // Nothing is looked at any more, once the connection of above is gone.
    await until(() => clock.pending === 0)
  })

  test('may be links that are changed to other files, as in containers', async () => {
    const { directory, paths, write } = await inFiles({ key: '', cert: '', ca: '' })
    const renewed = await inFiles(await other.issue('n2'))
    await write(await reef.issue('n2'))
    const { clock, isReached } = await serve(paths)
    for (const name of ['key.pem', 'cert.pem', 'ca.pem']) {
      await symlink(join(renewed.directory, name), join(directory, `${name}.new`))
      await rename(join(directory, `${name}.new`), join(directory, name))
    }
    clock.advance(5000)
    expect(await isReached()).toBe(true)
  })

  test('that are missing or expired are not taken, and the old ones stay', async () => {
    const { paths, write } = await inFiles(await other.issue('n2'))
    const { clock, lines, isReached } = await serve(paths)
    await write(await other.issue('n2', { notAfter: new Date(Date.now() - 1000) }))
    clock.advance(5000)
    await rm(paths.caFile)
    clock.advance(5000)
    expect(lines).toEqual(new Array(2).fill('the certificates in the files are not taken'))
    expect(await isReached()).toBe(true)
  })

  test('must be there when a node begins', async () => {
    const { paths } = await inFiles(await reef.issue('n1'))
    await rm(paths.certFile)
    expect(() => tcp({ ...ANYWHERE, tls: paths })).toThrow(/tls.certFile cannot be read: ENOENT/)
  })
})

test('a node whose certificate has expired says so when it begins', async () => {
  const lines: string[] = []
  const note = (_facts: object, line: string) => lines.push(line)
  const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: note }
  const { runtime } = createRuntime()
  const tls = await reef.issue('n2', { notAfter: new Date(Date.now() - 1000) })
  const listener = await tcpTransport({ ...runtime, log }, { node: 'n2', cluster: 'reef', tls }).listen(
    '127.0.0.1:0',
    () => {},
  )
  closing.push(() => listener.close())
  expect(lines).toEqual(['no other node accepts the certificate of this one'])
})
