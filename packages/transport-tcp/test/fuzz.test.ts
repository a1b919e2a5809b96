import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { concatBytes, isAtollError } from '@atoll/core'
import { encodeFrame } from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import { ClientHandshake } from '../src/handshake.ts'
import * as protocol from '../src/protocol.ts'
import { Authority } from './authority.ts'
import { createDoor, enter } from './door.ts'
import { createParty, Diary, listen, SOON, until } from './world.ts'

/** Limits that damaged lengths often exceed. */
const SMALL = { maxHeadBytes: 4096, maxBodyBytes: 4096 }
const WRONG = ['ATOLL_PROTOCOL', 'ATOLL_TOO_LARGE', 'ATOLL_UNREACHABLE', 'ATOLL_UNAUTHORIZED']

/** A seeded stream of chances. */
function chances(seed: number) {
  let state = seed
  const below = (limit: number) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  return { below, bytes: (length: number) => Uint8Array.from({ length }, () => below(256)) }
}

type Chances = ReturnType<typeof chances>

/** Pieces that were right once: cut short, stretched, with bits turned, or anything at all. */
function damage(chance: Chances, good: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(good)
  switch (chance.below(6)) {
    case 0:
      return bytes.subarray(0, chance.below(bytes.length))
    case 1:
      return concatBytes([bytes, chance.bytes(1 + chance.below(50))])
    case 2:
      for (let count = chance.below(4); count >= 0; count--) {
        const at = chance.below(bytes.length)
        bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8))
      }
      return bytes
    case 3: {
      // A length that lies.
      const at = 1 + chance.below(Math.min(30, bytes.length - 1))
      bytes.set(chance.bytes(Math.min(3, bytes.length - at)), at)
      return bytes
    }
    case 4:
      return chance.bytes(1 + chance.below(200))
    default:
      return protocol.encodePiece(chance.below(8), chance.bytes(chance.below(100)))
  }
}

function frame(chance: Chances): Uint8Array {
  const body = chance.below(2) === 0 ? chance.bytes(chance.below(300)) : undefined
  const parts = encodeFrame({ head: chance.bytes(chance.below(40)), body })
  return protocol.encodePiece(chance.below(2) === 0 ? protocol.ORDINARY : protocol.URGENT, concatBytes(parts))
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a node survives', () => {
  test('6000 damaged words of strangers', async () => {
    const { open } = createDoor(SMALL)
    const client = new ClientHandshake({
      own: { node: 'n1', cluster: 'reef', instance: randomBytes(16) },
      nonce: randomBytes(32),
      secret: Buffer.from('another secret of another reef'),
      certified: undefined,
      admit: () => {},
    })
    const hello = protocol.encodePiece(protocol.GREETING, client.hello())
    for (let seed = 0; seed < 2000; seed++) {
      const chance = chances(seed)
      const { near, far, seen } = open()
      for (let count = 0; count < 3; count++)
        near.write(chance.below(3) === 0 ? hello : damage(chance, hello))
      near.resume().end()
      await turn()
      await turn()
      expect(seen.connection, `seed ${seed}`).toBeUndefined()
      expect(isAtollError(seen.error) && WRONG.includes(seen.error.code), `seed ${seed}: ${seen.error}`).toBe(
        true,
      )
      far.destroy()
    }
  })

  test('10000 damaged frames of nodes that know the secret', async () => {
    const { open, metrics } = createDoor(SMALL)
    let [sent, ended] = [0, 0]
    for (let seed = 0; sent < 10_000; seed++) {
      const chance = chances(seed)
      const { near, far, seen } = open()
      await enter(near, `n${seed + 10}`)
      for (let count = 0; count < 20; count++, sent++) {
        const good = frame(chance)
        near.write(chance.below(4) === 0 ? damage(chance, good) : good)
      }
      near.resume().end()
      while (seen.error === undefined) await turn()
      expect(isAtollError(seen.error) && WRONG.includes(seen.error.code), `seed ${seed}: ${seen.error}`).toBe(
        true,
      )
      expect(seen.frames).not.toBeNaN()
      if (isAtollError(seen.error) && seen.error.code !== 'ATOLL_UNREACHABLE') ended += 1
      near.destroy()
      far.destroy()
    }
    expect(sent).toBe(10_000)
    // Nearly every run of twenty holds damage that is noticed; the others end as broken connections do.
    expect(ended).toBeGreaterThan(350)
    const lost = ['malformed', 'too-large', 'reset', 'told'].map((reason) =>
      metrics.value('atoll_tcp_lost_total', { reason }),
    )
    expect(lost.reduce((sum, one) => sum + one)).toBe(500)
  })

  test.each(['TCP', 'TLS'])('random bytes on its port, over %s', async (kind) => {
    const authority = kind === 'TLS' ? await Authority.create('the reef') : undefined
    const create = async (node: string) =>
      createParty(node, authority === undefined ? {} : { tls: await authority.issue(node) })
    const server = await create('n2')
    const { listener, address, accepted, next } = await listen(server)
    const client = await create('n1')
    const before = new Diary(await client.transport.connect(address, SOON))
    const far = new Diary(await next())
    const refusals = () =>
      [...server.metrics.entries()].reduce(
        (sum, [name, value]) => sum + (name.startsWith('atoll_tcp_refused') ? value : 0),
        0,
      )
    const port = Number(address.split(':')[1])
    for (let round = 0; round < 20; round++) {
      const strangers = Array.from({ length: 10 }, (_, at) => babble(port, chances(round * 10 + at)))
      await Promise.all(strangers)
    }
    await until(() => refusals() === 200)
    expect(accepted).toHaveLength(1)
    void before.connection.send({ head: Uint8Array.of(1) })
    expect(await far.received(1)).toHaveLength(1)
    const after = new Diary(await client.transport.connect(address, SOON))
    for (const { connection } of [before, after]) connection.close()
    await listener.close()
  })
})

/** Says random things until it is shown the door, or leaves. */
async function babble(port: number, chance: Chances): Promise<void> {
  const socket: Socket = connectTcp({ port, host: '127.0.0.1' }).on('error', () => {})
  const gone = once(socket, 'close')
  await once(socket, 'connect')
  for (let count = 0; count < 10; count++) socket.write(chance.bytes(1 + chance.below(500)))
  socket.resume().end()
  await gone
}
