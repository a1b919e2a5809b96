import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { type AtollError, isAtollError, type LineLimit, type Runtime } from '@atoll/core'
import { ClientHandshake, type Progress, ServerHandshake } from './handshake.ts'
import type { Inbox } from './inbox.ts'
import type { TcpSettings } from './options.ts'
import type { Partials } from './partials.ts'
import { type PieceOwner, PieceSocket } from './piece-socket.ts'
import type { Presence } from './presence.ts'
import { NONCE_BYTES, type Role } from './proof.ts'
import type { Party } from './protocol.ts'
import { because, reasonOf } from './refusal.ts'
import { TcpConnection } from './tcp-connection.ts'

/** What all connections of a transport share. */
export interface TcpContext {
  readonly runtime: Runtime
  readonly settings: TcpSettings
  readonly own: Party
  readonly secret: Uint8Array | undefined
  readonly presence: Presence
  /** Refusals that are written down: of many for one reason, one in a while. */
  readonly refusals: LineLimit
  /** Frames of which a part has arrived, on all connections. */
  readonly partials: Partials
}

export interface GreetingParts {
  readonly role: Role
  /** The other side, for messages. */
  readonly peer: string
  /** The name in the other side's certificate, with TLS. */
  readonly certified: string | undefined
  /** Where what arrives at the socket is put; without one the socket emits it. */
  readonly inbox?: Inbox | undefined
  readonly onConnection: (connection: TcpConnection) => void
  /** Called once if there will be no connection; the socket is looked after. */
  readonly onFailed: (error: AtollError) => void
}

/** Turns a socket into a connection, if the other side proves who it is. */
export class Greeting implements PieceOwner {
  readonly #context: TcpContext
  readonly #parts: GreetingParts
  readonly #socket: PieceSocket
  readonly #handshake: ClientHandshake | ServerHandshake

  constructor(context: TcpContext, socket: Duplex, parts: GreetingParts) {
    this.#context = context
    this.#parts = parts
    const { runtime, settings, own, secret, presence } = context
    const { clock, metrics } = runtime
    const { peer, certified, role, inbox } = parts
    const { closeTimeoutMs } = settings
    this.#socket = new PieceSocket(socket, { clock, metrics, peer, closeTimeoutMs, inbox })
    const admit = (party: Party) => presence.admit(party)
    const Handshake = role === 'client' ? ClientHandshake : ServerHandshake
    // Not of the runtime: what guards the door must not follow from a seed.
    this.#handshake = new Handshake({ own, nonce: randomBytes(NONCE_BYTES), secret, certified, admit })
  }

  start(): void {
    this.#socket.start(this)
    if (this.#handshake instanceof ClientHandshake) this.#socket.greet(this.#handshake.hello())
  }

  refuse(error: AtollError): void {
    this.#socket.refuse(error)
    this.#parts.onFailed(error)
  }

  onGreeting(message: Uint8Array): void {
    let progress: Progress
    try {
      progress = this.#handshake.step(message)
    } catch (error) {
      if (!isAtollError(error)) throw error
      this.refuse(error)
      return
    }
    if (progress.reply !== undefined) this.#socket.greet(progress.reply)
    if (progress.peer !== undefined) this.#succeed(progress.peer)
  }

  onData(): void {
    this.refuse(because('malformed', `${this.#parts.peer} does not say who it is`))
  }

  onSign(): void {}

  onWritten(): void {}

  onEnd(reason: AtollError | undefined): void {
    this.#parts.onFailed(reason ?? because('reset', `${this.#parts.peer} left before it was known`))
  }

  #succeed(party: Party): void {
    const { runtime, settings, presence, partials } = this.#context
    const connection: TcpConnection = new TcpConnection({
      socket: this.#socket,
      clock: runtime.clock,
      metrics: runtime.metrics,
      settings,
      partials,
      peer: this.#parts.peer,
      identity: party.node,
      onOver: () => presence.remove(party, connection),
    })
    this.#socket.owner = connection
    presence.add(party, connection)
    runtime.metrics.count('atoll_tcp_connections_total', 1, { role: this.#parts.role })
    this.#parts.onConnection(connection)
  }
}

/** Writes down that somebody was turned away. */
export function noteRefusal(context: TcpContext, peer: string, error: AtollError): void {
  const { runtime, settings, refusals } = context
  const reason = reasonOf(error)
  runtime.metrics.count('atoll_tcp_refused_total', 1, { reason })
  const others = refusals.take(reason)
  if (others === undefined) return
  const facts = { node: settings.node, peer, reason, why: error.message, others }
  runtime.log.warn(facts, 'a connection was refused (others: for the same reason, since the last such line)')
}
