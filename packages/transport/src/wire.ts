import { AtollError, EMPTY_BYTES, isAtollError, messageOf } from '@atoll/core'
import { Fifo } from './fifo.ts'
import type { FrameLimits } from './options.ts'
import type { Connection, Frame } from './ports.ts'
import { decodeHead, type Head } from './protocol.ts'

export interface WireLimits extends FrameLimits {
  readonly maxQueuedBytes: number
}

/**
 * Of `maxQueuedBytes`, past which the connection is closed: when an eighth waits, the peer's further requests wait as
 * well. What handlers that are at work by then still answer has room up to seven eighths, and the last one is for small
 * words, such as that an answer had none.
 */
const HOLD_SHARE = 1 / 8
const ANSWER_SHARE = 7 / 8

/** What a frame costs beside its bytes, so that many small ones are not free. */
const FRAME_BYTES = 64

/** Who talks through a wire. */
export interface WireOwner {
  /** A message, and how many bytes head and body have. */
  onHead(head: Head, body: Uint8Array, bytes: number): void
  /** So many frames that waited were handed over; all of them unless the wire is full. */
  onDrained(frames: number): void
  /** The peer said what is no message, or does not read. Called once at most, and `onLost` not any more. */
  onRefused(reason: AtollError): void
  /** The connection ended. Called once at most, unless the owner closed the wire itself. */
  onLost(reason: AtollError): void
}

/** A connection with its patience: frames that it cannot take yet wait here, up to a limit. */
export class Wire {
  readonly #connection: Connection
  readonly #limits: WireLimits
  readonly #owner: WireOwner
  readonly #queue = new Fifo<Frame>()
  #queuedBytes = 0
  #blocked = false
  #closed = false
  #holders = 0

  constructor(connection: Connection, owner: WireOwner, limits: WireLimits) {
    this.#connection = connection
    this.#owner = owner
    this.#limits = limits
    connection.onClose = (reason) => this.#lose(lost(connection.peer, reason))
    connection.onFrame = (frame) => this.#receive(frame)
  }

  get peer(): string {
    return this.#connection.peer
  }

  /** The name of the other side, if the transport has proof of it. */
  get identity(): string | undefined {
    return this.#connection.identity
  }

  /** As of the connection. */
  get ownsBodies(): boolean {
    return this.#connection.ownsBodies === true
  }

  /** True while all but a word or two should wait for `onDrained`. */
  get full(): boolean {
    return this.#blocked
  }

  /** True while so much waits that nothing should be begun that makes it more. */
  get crowded(): boolean {
    return this.#queuedBytes > this.#limits.maxQueuedBytes * HOLD_SHARE
  }

  /** How much more may wait. */
  get roomBytes(): number {
    return this.#limits.maxQueuedBytes * ANSWER_SHARE - this.#queuedBytes
  }

  /** Whether so many bytes may wait beside what waits already. Where nothing does, any number may. */
  fits(bytes: number): boolean {
    return this.#queuedBytes === 0 || bytes <= this.roomBytes
  }

  /** Throws `ATOLL_TOO_LARGE` for a frame over the limits, and then sends nothing. An urgent one waits for nothing. */
  send(head: Uint8Array, body?: Uint8Array, urgent = false): void {
    checkSize(head, body, this.#limits)
    if (this.#closed) return
    const frame = { head, body, urgent }
    if (this.#blocked && !urgent) this.#enqueue(frame)
    else this.#hand(frame)
  }

  /** Somebody waits for what is to arrive, until `release`. */
  hold(): void {
    this.#holders += 1
    if (this.#holders === 1) this.#connection.hold?.(true)
  }

  release(): void {
    this.#holders -= 1
    if (this.#holders === 0) this.#connection.hold?.(false)
  }

  /** What was handed over still arrives, and then the reason. What waits here is dropped. */
  close(reason?: AtollError): void {
    this.#closed = true
    this.#queue.clear()
    this.#connection.close(reason)
  }

  #hand(frame: Frame): void {
    const full = this.#connection.send(frame)
    if (full === undefined || this.#blocked) return
    this.#blocked = true
    void full.then(() => this.#flush())
  }

  #flush(): void {
    this.#blocked = false
    let frames = 0
    for (let frame = this.#queue.shift(); frame !== undefined; frame = this.#queue.shift()) {
      this.#queuedBytes -= sizeOf(frame)
      this.#hand(frame)
      frames += 1
      if (this.#blocked) break
    }
    if (!this.#closed) this.#owner.onDrained(frames)
  }

  #enqueue(frame: Frame): void {
    this.#queuedBytes += sizeOf(frame)
    this.#queue.push(frame)
    if (this.#queuedBytes <= this.#limits.maxQueuedBytes || this.#queue.length === 1) return
    const limit = `${this.#limits.maxQueuedBytes} bytes wait for it`
    this.#break(new AtollError('ATOLL_OVERLOADED', `${this.peer} does not read: more than ${limit}`))
  }

  #receive(frame: Frame): void {
    if (this.#closed) return
    let head: Head
    try {
      head = decodeHead(frame.head)
    } catch (error) {
      const message = `${this.peer} sent what is no message: ${messageOf(error)}`
      this.#break(new AtollError('ATOLL_PROTOCOL', message, { cause: error }))
      return
    }
    this.#owner.onHead(head, frame.body ?? EMPTY_BYTES, sizeOf(frame))
  }

  #break(reason: AtollError): void {
    if (this.#closed) return
    this.close(reason)
    this.#owner.onRefused(reason)
  }

  #lose(reason: AtollError): void {
    if (this.#closed) return
    this.#closed = true
    this.#queue.clear()
    this.#owner.onLost(reason)
  }
}

function checkSize(head: Uint8Array, body: Uint8Array | undefined, limits: FrameLimits): void {
  if (head.length > limits.maxHeadBytes) throw tooLarge('head', head.length, limits.maxHeadBytes)
  if (body !== undefined && body.length > limits.maxBodyBytes)
    throw tooLarge('body', body.length, limits.maxBodyBytes)
}

function tooLarge(part: string, bytes: number, limit: number): AtollError {
  return new AtollError(
    'ATOLL_TOO_LARGE',
    `a message ${part} of ${bytes} bytes is over the limit of ${limit}`,
  )
}

function sizeOf(frame: Frame): number {
  return FRAME_BYTES + frame.head.length + (frame.body?.length ?? 0)
}

function lost(peer: string, reason: Error | undefined): AtollError {
  // That something is closed is this side's word for itself.
  if (isAtollError(reason) && reason.code !== 'ATOLL_CLOSED') return reason
  const message = `the connection to ${peer} ended${reason === undefined ? '' : `: ${reason.message}`}`
  return new AtollError('ATOLL_UNREACHABLE', message, { cause: reason, definite: false })
}
