import { AtollError } from '@atoll/core'
import type { Conditions } from './memory-conditions.ts'
import { Pipe, type Signal } from './memory-pipe.ts'
import type { Connection, Frame } from './ports.ts'

/** A connection between two addresses, with its two ends. */
export class MemoryLink {
  readonly near: MemoryConnection
  readonly far: MemoryConnection

  /** `onEnded` is called once both ends are closed. */
  constructor(conditions: Conditions, near: string, far: string, onEnded: (link: MemoryLink) => void) {
    const there = new Pipe(conditions, near, far)
    const back = new Pipe(conditions, far, near)
    const onClosed = () => {
      if (this.near.closed && this.far.closed) onEnded(this)
    }
    this.near = new MemoryConnection({ peer: far, outgoing: there, incoming: back, onClosed })
    this.far = new MemoryConnection({ peer: near, outgoing: back, incoming: there, onClosed })
  }
}

interface MemoryConnectionParts {
  readonly peer: string
  readonly outgoing: Pipe
  readonly incoming: Pipe
  readonly onClosed: () => void
}

/** One end of a connection in memory. */
export class MemoryConnection implements Connection {
  readonly peer: string
  readonly #parts: MemoryConnectionParts
  #onFrame: ((frame: Frame) => void) | undefined
  #onClose: ((reason: Error | undefined) => void) | undefined
  #closed = false
  #reason: Error | undefined

  constructor(parts: MemoryConnectionParts) {
    this.peer = parts.peer
    this.#parts = parts
  }

  get closed(): boolean {
    return this.#closed
  }

  get onFrame(): (frame: Frame) => void {
    return this.#onFrame ?? ignore
  }

  set onFrame(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame
    if (!this.#closed) this.#parts.incoming.attach((item) => this.#receive(item))
  }

  get onClose(): (reason: Error | undefined) => void {
    return this.#onClose ?? ignore
  }

  set onClose(onClose: (reason: Error | undefined) => void) {
    this.#onClose = onClose
    if (this.#closed) this.#tellClosed()
  }

  send(frame: Frame): Promise<void> | undefined {
    return this.#closed ? undefined : this.#parts.outgoing.send(frame)
  }

  close(reason?: AtollError): void {
    if (this.#closed) return
    this.#parts.outgoing.signal({ fin: reason })
    this.#parts.outgoing.release()
    this.#end(undefined)
  }

  /** What the machine of a process that dies does: all on the way is gone, and the other side is told if it can be. */
  break(): void {
    this.#parts.outgoing.clear()
    if (this.#closed) return
    this.#parts.outgoing.signal('reset')
    this.#end(connectionLost(this.peer))
  }

  #receive(item: Frame | Signal): void {
    if (this.#closed) {
      // The other side does not know yet that this one is gone: its news was lost in a partition.
      if (item !== 'reset' && !('fin' in item)) this.#parts.outgoing.signal('reset')
    } else if (item !== 'reset' && 'fin' in item) {
      this.#parts.outgoing.clear()
      this.#end(item.fin === undefined ? undefined : told(this.peer, item.fin))
    } else if (item === 'reset') {
      this.#parts.outgoing.clear()
      this.#end(connectionLost(this.peer))
    } else {
      this.#onFrame?.(item)
    }
  }

  #end(reason: Error | undefined): void {
    this.#closed = true
    this.#reason = reason
    // From here on what arrives only tells the sender that nobody is here.
    this.#parts.incoming.attach((item) => this.#receive(item))
    this.#tellClosed()
    this.#parts.onClosed()
  }

  #tellClosed(): void {
    const onClose = this.#onClose
    if (onClose !== undefined) void Promise.resolve().then(() => onClose(this.#reason))
  }
}

function ignore(): void {}

/** As it would come out of bytes: without the cause. */
function told(peer: string, { code, message }: AtollError): AtollError {
  return new AtollError(code, `${peer} said: ${message}`, { definite: false, details: { reason: 'told' } })
}

function connectionLost(peer: string): AtollError {
  return new AtollError('ATOLL_UNREACHABLE', `the connection to ${peer} broke`, { definite: false })
}
