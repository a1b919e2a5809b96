import { randomBytes } from 'node:crypto'
import { isAtollError } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ClientHandshake, type HandshakeParts, ServerHandshake } from '../src/handshake.ts'
import { decodeGreeting, encodeGreeting, type Greeting, HELLO, PROOF, WELCOME } from '../src/protocol.ts'
import { because, reasonOf } from '../src/refusal.ts'

const SECRET = Buffer.from('a secret of the reef')

function parts(node: string, changes: Partial<HandshakeParts> & { cluster?: string } = {}): HandshakeParts {
  const { cluster = 'reef', ...rest } = changes
  return {
    own: { cluster, node, instance: randomBytes(16) },
    nonce: randomBytes(32),
    secret: SECRET,
    certified: undefined,
    admit: () => {},
    ...rest,
  }
}

/** Lets two sides talk; returns what each believes, or who refused and why. */
function talk(client: HandshakeParts, server: HandshakeParts) {
  const [a, b] = [new ClientHandshake(client), new ServerHandshake(server)]
  const said: Uint8Array[] = [a.hello()]
  let [byClient, byServer]: (string | undefined)[] = []
  for (let turn = 0; ; turn++) {
    const side = turn % 2 === 0 ? b : a
    try {
      const { reply, peer } = side.step(said[turn] ?? new Uint8Array())
      if (peer !== undefined && side === a) byClient = peer.node
      if (peer !== undefined && side === b) byServer = peer.node
      if (reply === undefined) return { byClient, byServer, said }
      said.push(reply)
    } catch (error) {
      if (!isAtollError(error)) throw error
      return {
        byClient,
        byServer,
        said,
        refusedBy: side === a ? 'client' : 'server',
        why: reasonOf(error),
        error,
      }
    }
  }
}

describe('two nodes of a cluster', () => {
  test('learn each other`s names in four messages, and the secret is in none', () => {
    const { byClient, byServer, said } = talk(parts('n1'), parts('n2'))
    expect({ byClient, byServer, messages: said.length }).toEqual({
      byClient: 'n2',
      byServer: 'n1',
      messages: 4,
    })
    for (const message of said) expect(Buffer.from(message).includes(SECRET)).toBe(false)
  })

  test('need no secret if their certificates say who they are', () => {
    const open = { secret: undefined }
    const met = talk(parts('n1', { ...open, certified: 'n2' }), parts('n2', { ...open, certified: 'n1' }))
    expect(met).toMatchObject({ byClient: 'n2', byServer: 'n1' })
  })

  test('may be one and the same', () => {
    const own = { cluster: 'reef', node: 'n1', instance: randomBytes(16) }
    expect(talk(parts('n1', { own }), parts('n1', { own }))).toMatchObject({ byClient: 'n1', byServer: 'n1' })
  })
})

describe('a server refuses', () => {
  test.each<[string, HandshakeParts, string, string]>([
    [
      'a wrong secret',
      parts('n1', { secret: Buffer.from('a secret of the riff') }),
      'secret',
      'ATOLL_UNAUTHORIZED',
    ],
    ['no secret', parts('n1', { secret: undefined }), 'secret', 'ATOLL_UNAUTHORIZED'],
    ['another cluster', parts('n1', { cluster: 'shoal' }), 'cluster', 'ATOLL_PROTOCOL'],
    ['a double of its own name', parts('n2'), 'name', 'ATOLL_PROTOCOL'],
  ])('%s', (_, client, why, code) => {
    const met = talk(client, parts('n2'))
    expect(met).toMatchObject({ refusedBy: 'server', why, error: { code } })
    expect(met.byServer).toBeUndefined()
    expect(met.byClient).toBeUndefined()
  })

  test('another name than that of the certificate', () => {
    expect(talk(parts('n1'), parts('n2', { certified: 'n3' }))).toMatchObject({
      refusedBy: 'server',
      why: 'certificate',
    })
  })

  test('whom its house does not admit, before it says its own name', () => {
    const admit = () => {
      throw because('name', 'taken')
    }
    const met = talk(parts('n1'), parts('n2', { admit }))
    expect(met).toMatchObject({ refusedBy: 'server', why: 'name' })
    expect(met.said.some((message) => decodeGreeting(message).kind === WELCOME)).toBe(false)
  })

  test('versions that it does not speak', () => {
    const hello = (minVersion: number, maxVersion: number) =>
      encodeGreeting({ kind: HELLO, minVersion, maxVersion, nonce: randomBytes(32) })
    expect(() => new ServerHandshake(parts('n2')).step(hello(2, 3))).toThrow(/speaks versions 2-3/)
    expect(() => new ServerHandshake(parts('n2')).step(hello(0, 0))).toThrow(/speaks versions 0-0/)
    expect(
      decodeGreeting(new ServerHandshake(parts('n2')).step(hello(1, 9)).reply ?? hello(0, 0)),
    ).toMatchObject({
      version: 1,
    })
  })

  test('a nonce of another length', () => {
    const hello = encodeGreeting({ kind: HELLO, minVersion: 1, maxVersion: 1, nonce: randomBytes(31) })
    expect(() => new ServerHandshake(parts('n2')).step(hello)).toThrow(/32 bytes, not 31/)
  })
})

describe('a client refuses', () => {
  test('a server without the secret, with another name, or of its own name', () => {
    const server = parts('n2', { secret: undefined })
    expect(talk(parts('n1'), server)).toMatchObject({ refusedBy: 'client', why: 'secret' })
    const named = talk(parts('n1', { secret: undefined, certified: 'n3' }), server)
    expect(named).toMatchObject({ refusedBy: 'client', why: 'certificate' })
  })

  test('a version that it did not offer', () => {
    const client = new ClientHandshake(parts('n1'))
    client.hello()
    const challenge = encodeGreeting({ kind: 1, version: 2, nonce: randomBytes(32) })
    expect(() => client.step(challenge)).toThrow(/version 2, which was not offered/)
  })
})

describe('a stranger without the secret', () => {
  test('cannot use a proof again in another conversation', () => {
    const { said } = talk(parts('n1'), parts('n2'))
    const server = new ServerHandshake(parts('n2'))
    server.step(said[0] ?? new Uint8Array())
    expect(() => server.step(said[2] ?? new Uint8Array())).toThrow(/does not know the secret/)
  })

  test('cannot send a node`s own words back to it', () => {
    // It opens a conversation with the server's own nonce, and asks the server itself for the proof.
    const server = parts('n2')
    const first = new ServerHandshake(server)
    const hello = { kind: HELLO, minVersion: 1, maxVersion: 1, nonce: randomBytes(32) } as const
    first.step(encodeGreeting(hello))
    const victim = new ClientHandshake({ ...server, nonce: hello.nonce })
    victim.hello()
    const { reply } = victim.step(encodeGreeting({ kind: 1, version: 1, nonce: server.nonce }))
    const stolen = decodeGreeting(reply ?? new Uint8Array())
    if (stolen.kind !== PROOF) throw new Error('no proof')
    const second = new ClientHandshake(parts('n1', { nonce: hello.nonce }))
    second.hello()
    second.step(encodeGreeting({ kind: 1, version: 1, nonce: server.nonce }))
    expect(() => second.step(encodeGreeting({ ...stolen, kind: WELCOME }))).toThrow(
      /does not know the secret/,
    )
  })

  test('cannot change a word of what a node says', () => {
    const change = (greeting: Greeting): Greeting[] =>
      greeting.kind !== PROOF
        ? []
        : [
            { ...greeting, node: 'n9' },
            { ...greeting, cluster: 'shoal' },
            { ...greeting, instance: randomBytes(16) },
            { ...greeting, mac: greeting.mac.slice(1) },
            { ...greeting, mac: greeting.mac.map((byte, at) => (at === 31 ? byte ^ 1 : byte)) },
          ]
    const [client, server] = [new ClientHandshake(parts('n1')), parts('n2')]
    const first = new ServerHandshake(server)
    const proof = client.step(first.step(client.hello()).reply ?? new Uint8Array()).reply ?? new Uint8Array()
    const changed = change(decodeGreeting(proof))
    expect(changed).toHaveLength(5)
    for (const greeting of changed)
      expect(() => first.step(encodeGreeting(greeting))).toThrow(/does not know/)
    expect(first.step(proof).peer?.node).toBe('n1')
  })

  test('gets nothing but a refusal for whatever it says', () => {
    const kind = fc.constantFrom(0, 1, 2, 3, 4)
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc
        .record({
          kind,
          text: fc.string({ maxLength: 5 }),
          nonce: fc.uint8Array({ minLength: 32, maxLength: 32 }),
        })
        .map((said) =>
          encodeGreeting({
            kind: said.kind === 2 ? PROOF : WELCOME,
            cluster: 'reef',
            node: said.text,
            instance: said.nonce,
            mac: said.nonce,
          }),
        ),
    )
    fc.assert(
      fc.property(fc.array(junk, { minLength: 1, maxLength: 4 }), fc.boolean(), (messages, afterHello) => {
        const server = new ServerHandshake(parts('n2'))
        if (afterHello) server.step(new ClientHandshake(parts('n1')).hello())
        for (const message of messages) {
          try {
            if (server.step(message).peer !== undefined) return false
          } catch (error) {
            return isAtollError(error)
          }
        }
        return true
      }),
      { numRuns: 2000 },
    )
  })
})
