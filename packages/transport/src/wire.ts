import { AtollError, EMPTY_BYTES, isAtollError, messageOf } from '@atoll/core'
import { Fifo } from './fifo.ts'
import type { FrameLimits } from './options.ts'
import type { Connection, Frame } from './ports.ts'
import { decodeHead, type Head } from './protocol.ts'

export interface WireLimits extends FrameLimits {
  readonly maxQueuedBytes: number
}

/** Who talks through a wire. */
export interface WireOwner {
  onHead(head: Head, body: Uint8Array): void
  /** There is room again. */
  onDrained(): void
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

  /** True while all but a word or two should wait for `onDrained`. */
  get full(): boolean {
    return this.#blocked
  }

  /** Throws `ATOLL_TOO_LARGE` for a frame over the limits, and then sends nothing. An urgent one waits for nothing. */
  send(head: Uint8Array, body?: Uint8Array, urgent = false): void {
    checkSize(head, body, this.#limits)
    if (this.#closed) return
    const frame = { head, body, urgent }
    if (this.#blocked && !urgent) this.#enqueue(frame)
    else this.#hand(frame)
  }

  close(): void {
    this.#closed = true
    this.#queue.clear()
    this.#connection.close()
  }

  #hand(frame: Frame): void {
    const full = this.#connection.send(frame)
    if (full === undefined || this.#blocked) return
    this.#blocked = true
    void full.then(() => this.#flush())
  }

  #flush(): void {
    this.#blocked = false
    for (let frame = this.#queue.shift(); frame !== undefined; frame = this.#queue.shift()) {
      this.#queuedBytes -= sizeOf(frame)
      this.#hand(frame)
      if (this.#blocked) return
    }
    if (!this.#closed) this.#owner.onDrained()
  }

  #enqueue(frame: Frame): void {
    this.#queuedBytes += sizeOf(frame)
    this.#queue.push(frame)
    if (this.#queuedBytes <= this.#limits.maxQueuedBytes) return
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
    this.#owner.onHead(head, frame.body ?? EMPTY_BYTES)
  }

  #break(reason: AtollError): void {
    if (this.#closed) return
    this.close()
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
  return frame.head.length + (frame.body?.length ?? 0)
}

function lost(peer: string, reason: Error | undefined): AtollError {
  if (isAtollError(reason)) return reason
  const message = `the connection to ${peer} ended${reason === undefined ? '' : `: ${reason.message}`}`
  return new AtollError('ATOLL_UNREACHABLE', message, { cause: reason, definite: false })
}
