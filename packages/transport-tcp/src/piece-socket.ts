import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import {
  AtollError,
  assert,
  type Clock,
  EMPTY_BYTES,
  isAtollError,
  type Metrics,
  type Timer,
} from '@atoll/core'
import type { Frame } from '@atoll/transport'
import { Batch } from './batch.ts'
import type { Inbox } from './inbox.ts'
import { Outbox } from './outbox.ts'
import { type Piece, PieceDecoder } from './piece-decoder.ts'
import { decodeGoodbye, encodeGoodbye, encodePiece, GOODBYE, GREETING, PING, PONG } from './protocol.ts'
import { because, type Reason } from './refusal.ts'

/**
 * What is written at a time: an urgent frame waits for so much, and for what the system has taken already. 256 KiB is
 * 2 ms of a link of 1 Gbit/s; less costs throughput.
 */
const BATCH_BYTES = 256 * 1024

const PING_PIECE = encodePiece(PING, EMPTY_BYTES)
const PONG_PIECE = encodePiece(PONG, EMPTY_BYTES)

/** Who talks through a socket. */
export interface PieceOwner {
  onGreeting(message: Uint8Array): void
  /** A piece of a lane. Unless they are lent, its bytes belong to the owner. */
  onData(piece: Piece): void
  /** Something arrived, whatever it was. */
  onSign(): void
  /** What waited was written. */
  onWritten(): void
  /** Called once, unless the owner ended it itself. Without a reason, the other side said goodbye. */
  onEnd(reason: AtollError | undefined): void
}

export interface PieceSocketParts {
  readonly clock: Clock
  readonly metrics: Metrics
  readonly closeTimeoutMs: number
  /** The other side, for messages. */
  readonly peer: string
  /** Where what arrives is put; without one the socket emits it. */
  readonly inbox?: Inbox | undefined
}

/** A socket on which two lanes of frames, greetings and signs of life share the way. */
export class PieceSocket {
  readonly #socket: Duplex
  readonly #parts: PieceSocketParts
  readonly #decoder = new PieceDecoder()
  readonly #outbox = new Outbox()
  /** Whether parts that are written together are one call of the system. */
  readonly #gathers: boolean
  /** What is being written. */
  #batch: Batch | undefined
  #owner: PieceOwner | undefined
  #state: 'open' | 'ending' | 'ended' = 'open'
  #goodbye: Uint8Array | undefined
  #lingering: Timer | undefined
  #scheduled = false
  #writtenBytes = 0
  #pongDue = false
  /** True once what arrives makes no sense any more. */
  #deaf = false

  constructor(socket: Duplex, parts: PieceSocketParts) {
    this.#socket = socket
    this.#parts = parts
    this.#gathers = !(socket instanceof TLSSocket)
  }

  /** Begins to read. */
  start(owner: PieceOwner): void {
    this.#owner = owner
    const socket = this.#socket
    const { inbox } = this.#parts
    if (inbox === undefined) socket.on('data', (chunk: Uint8Array) => this.#onChunk(chunk, false))
    else inbox.deliver = (chunk) => this.#onChunk(chunk, true)
    socket.on('end', () => this.#onLost())
    socket.on('error', (error) => this.#onLost(error))
    socket.on('close', () => this.#onClosed())
  }

  /** Whoever takes over, in the middle of what arrives. */
  set owner(owner: PieceOwner) {
    this.#owner = owner
  }

  /** Bytes of frames that the system has not taken yet. */
  get pendingBytes(): number {
    return this.#outbox.bytes + this.#writtenBytes
  }

  greet(message: Uint8Array): void {
    this.#pushControl(encodePiece(GREETING, message))
  }

  ping(): void {
    this.#pushControl(PING_PIECE)
  }

  send(frame: Frame): void {
    if (this.#state !== 'open') return
    this.#outbox.pushFrame(frame)
    this.#schedule()
  }

  /** Whether it keeps the process alive while nothing is written. */
  hold(isHeld: boolean): void {
    if (!(this.#socket instanceof Socket)) return
    if (isHeld) this.#socket.ref()
    else this.#socket.unref()
  }

  /** Stops to read, and goes on. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Ends it when all that was sent is on its way; the other side is told a reason if there is one. */
  end(reason: AtollError | undefined): void {
    this.#end(reason)
  }

  /** Ends it for a reason, which the other side is told; what waits is not sent. */
  refuse(reason: AtollError): void {
    if (this.#state !== 'open') return
    this.#outbox.clear()
    this.#end(reason)
  }

  /** Ends it without a word. */
  destroy(): void {
    this.#state = 'ended'
    this.#lingering?.cancel()
    this.#outbox.clear()
    this.#socket.destroy()
  }

  #end(reason: AtollError | undefined): void {
    if (this.#state !== 'open') return
    this.#state = 'ending'
    this.#goodbye = encodePiece(GOODBYE, encodeGoodbye(reason))
    // What arrives from here on is read and dropped: unread bytes would make the system drop what is still to be sent.
    this.#socket.resume()
    this.#linger()
    this.#schedule()
  }

  #linger(): void {
    this.#lingering?.cancel()
    this.#lingering = this.#parts.clock.timer(this.#parts.closeTimeoutMs, () => this.destroy())
  }

  #pushControl(piece: Uint8Array): void {
    if (this.#state !== 'open') return
    this.#outbox.pushControl(piece)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#writtenBytes > 0) return
    this.#scheduled = true
    // After all that this turn of the loop and its promises send: one write for all of it.
    process.nextTick(this.#pump)
  }

  readonly #pump = (): void => {
    this.#scheduled = false
    if (this.#state === 'ended' || this.#writtenBytes > 0) return
    const batch = this.#takeBatch()
    if (batch === undefined) return
    this.#batch = batch
    this.#writtenBytes = batch.bytes
    this.#parts.metrics.count('atoll_tcp_writes_total')
    this.#parts.metrics.count('atoll_tcp_sent_bytes_total', batch.bytes)
    const parts = batch.end()
    if (this.#gathers) this.#writeTogether(parts)
    else this.#writeFrom(parts, 0)
  }

  #writeTogether(parts: readonly Uint8Array[]): void {
    const socket = this.#socket
    const last = parts.length - 1
    socket.cork()
    for (const [at, part] of parts.entries()) socket.write(part, at === last ? this.#onWritten : undefined)
    this.#endAfterGoodbye()
    socket.uncork()
  }

  /** One part after the other: what is gathered for TLS the runtime copies, into new memory. */
  #writeFrom(parts: readonly Uint8Array[], at: number): void {
    const part = parts[at]
    assert(part !== undefined, 'a batch has parts')
    const isLast = at === parts.length - 1
    const onWritten = (error?: Error | null) => {
      if (error || this.#state === 'ended') return
      this.#writeFrom(parts, at + 1)
    }
    this.#socket.write(part, isLast ? this.#onWritten : onWritten)
    if (isLast) this.#endAfterGoodbye()
  }

  #endAfterGoodbye(): void {
    if (this.#state === 'ending' && this.#goodbye === undefined) this.#socket.end()
  }

  /** The next pieces; the goodbye when nothing else is left. Undefined if nothing waits. */
  #takeBatch(): Batch | undefined {
    if (this.#outbox.empty && this.#goodbye === undefined) return undefined
    const batch = new Batch()
    // All signs of life go, and go first.
    this.#pongDue = false
    while (batch.bytes < BATCH_BYTES && this.#outbox.take(batch, BATCH_BYTES - batch.bytes)) {}
    if (this.#goodbye !== undefined && this.#outbox.empty) {
      batch.add(this.#goodbye, 0, this.#goodbye.length)
      this.#goodbye = undefined
    }
    return batch
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#writtenBytes = 0
    // Any other stream may hand on the very arrays that are written to it.
    if (this.#socket instanceof Socket) this.#batch?.release()
    this.#batch = undefined
    if (this.#state === 'ended' || error) return
    if (this.#state === 'ending') this.#linger()
    this.#pump()
    this.#owner?.onWritten()
  }

  #onChunk(chunk: Uint8Array, isLent: boolean): void {
    this.#parts.metrics.count('atoll_tcp_received_bytes_total', chunk.length)
    if (this.#state === 'ended' || this.#deaf) return
    let pieces: Piece[]
    try {
      pieces = this.#decoder.push(chunk, isLent)
    } catch (error) {
      if (!isAtollError(error)) throw error
      this.#fault(error)
      return
    }
    this.#owner?.onSign()
    for (const piece of pieces) this.#onPiece(piece)
  }

  #onPiece(piece: Piece): void {
    const { kind, bytes } = piece
    if (kind === GOODBYE) this.#onGoodbye(bytes)
    if (this.#state !== 'open') return
    if (kind === GREETING) this.#owner?.onGreeting(bytes)
    else if (kind === PING) this.#pong()
    else if (kind !== PONG) this.#owner?.onData(piece)
  }

  /** One answer for any number of questions: a peer that does not read must not fill the queue with them. */
  #pong(): void {
    if (this.#pongDue) return
    this.#pongDue = true
    this.#pushControl(PONG_PIECE)
  }

  #onGoodbye(bytes: Uint8Array): void {
    const wasOpen = this.#state === 'open'
    let reason: AtollError | undefined
    try {
      const told = decodeGoodbye(bytes)
      if (told !== undefined) {
        const { code, message } = told
        reason = new AtollError(code, `${this.#parts.peer} said: ${message}`, {
          definite: false,
          details: { reason: 'told' satisfies Reason },
        })
      }
    } catch (error) {
      if (!isAtollError(error)) throw error
      reason = because('malformed', error.message)
    }
    // Nobody there wants what was not sent yet.
    this.destroy()
    if (wasOpen) this.#owner?.onEnd(reason)
  }

  /** The other side broke the protocol. */
  #fault(error: AtollError): void {
    this.#deaf = true
    if (this.#state !== 'open') return
    this.refuse(error)
    this.#owner?.onEnd(error)
  }

  #onLost(cause?: Error): void {
    if (this.#state === 'ending' && cause === undefined) return
    const wasOpen = this.#state === 'open'
    this.destroy()
    if (!wasOpen) return
    const why = cause === undefined ? 'it ended without a goodbye' : cause.message
    const message = `the connection to ${this.#parts.peer} broke: ${why}`
    this.#owner?.onEnd(because('reset', message, { cause, definite: false }))
  }

  #onClosed(): void {
    this.#onLost(new Error('it was closed'))
  }
}
