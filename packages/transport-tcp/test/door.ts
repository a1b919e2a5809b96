import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type Duplex, duplexPair } from 'node:stream'
import { LineLimit } from '@atoll/core'
import type { Connection } from '@atoll/transport'
import { Greeting, type TcpContext } from '../src/greeting.ts'
import { ClientHandshake } from '../src/handshake.ts'
import { DEFAULT_TCP_OPTIONS, type TcpSettings } from '../src/options.ts'
import { Partials } from '../src/partials.ts'
import { PieceDecoder } from '../src/piece-decoder.ts'
import { Presence } from '../src/presence.ts'
import * as protocol from '../src/protocol.ts'
import { createRuntime, ManualClock, SECRET } from './world.ts'

/** A server whose pipes are opened one by one, and what became of whoever is at the other end. */
export function createDoor(given: Partial<TcpSettings> = {}) {
  const { runtime, metrics } = createRuntime(new ManualClock())
  const settings = { ...DEFAULT_TCP_OPTIONS, node: 'n2', cluster: 'reef', ...given }
  const partials = new Partials(settings.maxPartialBytes)
  const context: TcpContext = {
    runtime,
    settings,
    own: { node: 'n2', cluster: 'reef', instance: randomBytes(16) },
    secret: Buffer.from(SECRET),
    presence: new Presence(),
    refusals: new LineLimit(runtime.clock, 1000),
    partials,
  }
  const open = () => {
    const [near, far] = duplexPair()
    const seen: { connection?: Connection; error?: unknown; frames: number } = { frames: 0 }
    new Greeting(context, far, {
      role: 'server',
      peer: 'fuzz',
      certified: undefined,
      onConnection: (connection) => {
        seen.connection = connection
        connection.onClose = (reason) => {
          seen.error = reason
        }
        connection.onFrame = ({ head, body }) => {
          seen.frames +=
            head.length <= settings.maxHeadBytes && (body?.length ?? 0) <= settings.maxBodyBytes
              ? 1
              : Number.NaN
        }
      },
      onFailed: (error) => {
        seen.error = error
      },
    }).start()
    near.on('error', () => {})
    return { near, far, seen }
  }
  return { open, metrics, partials }
}

/** Greets as a node does that knows the secret. */
export async function enter(near: Duplex, node: string): Promise<void> {
  const client = new ClientHandshake({
    own: { node, cluster: 'reef', instance: randomBytes(16) },
    nonce: randomBytes(32),
    secret: Buffer.from(SECRET),
    certified: undefined,
    admit: () => {},
  })
  const decoder = new PieceDecoder()
  near.write(protocol.encodePiece(protocol.GREETING, client.hello()))
  for (;;) {
    const [chunk] = await once(near, 'data')
    for (const { bytes } of decoder.push(chunk)) {
      const { reply, peer } = client.step(bytes)
      if (reply !== undefined) near.write(protocol.encodePiece(protocol.GREETING, reply))
      if (peer !== undefined) return
    }
  }
}
