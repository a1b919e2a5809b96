import { type AtollError, borrowBuffer, type Clock, isAtollError, type Metrics } from '@atoll/core'
import { type Connection, type Frame, FrameDecoder } from '@atoll/transport'
import { KeepAlive } from './keep-alive.ts'
import type { TcpSettings } from './options.ts'
import type { PartialOwner, Partials } from './partials.ts'
import type { Piece } from './piece-decoder.ts'
import type { PieceOwner, PieceSocket } from './piece-socket.ts'
import type { Link } from './presence.ts'
import { URGENT } from './protocol.ts'
import { because, reasonOf } from './refusal.ts'

export interface TcpConnectionParts {
  readonly socket: PieceSocket
  readonly clock: Clock
  readonly metrics: Metrics
  readonly settings: TcpSettings
  readonly partials: Partials
  readonly peer: string
  /** The node that has proven to be at the other side. */
  readonly identity: string
  /** Called once when it is over. */
  readonly onOver: () => void
}

/** What a frame costs beside its bytes, so that many empty ones are not free. */
const FRAME_BYTES = 64

interface Room {
  readonly promise: Promise<void>
  readonly open: () => void
}

/** The two lanes and the end of a connection, behind the port. */
export class TcpConnection implements Connection, PieceOwner, Link, PartialOwner {
  readonly peer: string
  readonly identity: string
  readonly ownsBodies = true
  readonly #parts: TcpConnectionParts
  readonly #ordinary: FrameDecoder
  readonly #urgent: FrameDecoder
  readonly #keepAlive: KeepAlive
  #onFrame: ((frame: Frame) => void) | undefined
  #onClose: ((reason: Error | undefined) => void) | undefined
  /** Frames that came before `onFrame` was set, or while those before them are being delivered. */
  #waiting: Frame[] = []
  #waitingBytes = 0
  #flowing = false
  #room: Room | undefined
  #state: 'open' | 'over' | 'told' = 'open'
  #reason: AtollError | undefined

  constructor(parts: TcpConnectionParts) {
    const { socket, clock, settings, peer, identity } = parts
    const { maxHeadBytes, maxBodyBytes } = settings
    this.peer = peer
    this.identity = identity
    this.#parts = parts
    const limits = { maxHeadBytes, maxBodyBytes }
    this.#ordinary = new FrameDecoder(limits, undefined, allocate)
    this.#urgent = new FrameDecoder(limits, undefined, allocate)
    this.#keepAlive = new KeepAlive(clock, settings, {
      silence: () => socket.ping(),
      timeout: () => this.#break('keep-alive', `no sign of life for ${settings.keepAliveTimeoutMs} ms`),
    })
    this.#keepAlive.start()
    this.hold(false)
  }

  hold(isAwaited: boolean): void {
    if (!this.#parts.settings.holdProcess) this.#parts.socket.hold(isAwaited)
  }

  get lively(): boolean {
    return this.#keepAlive.lively
  }

  get onFrame(): (frame: Frame) => void {
    return this.#onFrame ?? ignore
  }

  set onFrame(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame
    void Promise.resolve().then(() => this.#flow())
  }

  get onClose(): (reason: Error | undefined) => void {
    return this.#onClose ?? ignore
  }

  set onClose(onClose: (reason: Error | undefined) => void) {
    this.#onClose = onClose
    this.#tellOver()
  }

  send(frame: Frame): Promise<void> | undefined {
    if (this.#state !== 'open') return undefined
    const { socket, settings } = this.#parts
    socket.send(frame)
    if (socket.pendingBytes <= settings.highWaterBytes) return undefined
    if (socket.pendingBytes > settings.maxQueuedBytes) {
      this.#fail(
        because('queue', `${this.peer} does not read: more than ${settings.maxQueuedBytes} bytes wait`),
      )
      return undefined
    }
    this.#room ??= createRoom()
    return this.#room.promise
  }

  close(reason?: AtollError): void {
    this.#waiting = []
    if (this.#state === 'open') {
      this.#parts.socket.end(reason)
      this.#over(undefined)
    } else {
      this.#tellOver()
    }
  }

  replace(): void {
    this.#break('replaced', `another process of node ${this.identity} took its place`)
  }

  /** Memory is short, and what arrives here is not done for longest. */
  crowdedOut(): void {
    const { settings, peer } = this.#parts
    const what = `a frame of ${peer} is not complete, and more than ${settings.maxPartialBytes} bytes of frames are not`
    this.#fail(because('limit', what))
  }

  onGreeting(): void {
    this.#fail(because('malformed', `${this.peer} greets twice`))
  }

  onData({ bytes, kind, isLent }: Piece): void {
    let frames: Frame[]
    try {
      frames = (kind === URGENT ? this.#urgent : this.#ordinary).push(bytes, isLent)
    } catch (error) {
      if (!isAtollError(error)) throw error
      this.#fail(error)
      return
    }
    this.#parts.partials.hold(this, this.#ordinary.partialBytes + this.#urgent.partialBytes)
    for (const frame of frames) this.#receive(frame)
  }

  onSign(): void {
    this.#keepAlive.hear()
  }

  onWritten(): void {
    const { socket, settings } = this.#parts
    if (socket.pendingBytes * 2 <= settings.highWaterBytes) this.#makeRoom()
  }

  onEnd(reason: AtollError | undefined): void {
    this.#over(reason)
  }

  #receive(frame: Frame): void {
    if (this.#flowing) {
      if (this.#state === 'open') this.#onFrame?.(frame)
      return
    }
    this.#waiting.push(frame)
    this.#waitingBytes += FRAME_BYTES + frame.head.length + (frame.body?.length ?? 0)
    if (this.#waitingBytes <= this.#parts.settings.highWaterBytes) return
    // Nobody listens yet, so nobody may be surprised by silence either.
    this.#keepAlive.hold(true)
    this.#parts.socket.pause()
  }

  /** Delivers what waited, and from then on what comes as it comes. */
  #flow(): void {
    while (this.#state !== 'told') {
      const frame = this.#waiting.shift()
      if (frame === undefined) break
      this.#onFrame?.(frame)
    }
    this.#flowing = true
    this.#waitingBytes = 0
    this.#keepAlive.hold(false)
    this.#parts.socket.resume()
    this.#tellOver()
  }

  #fail(reason: AtollError): void {
    this.#parts.socket.refuse(reason)
    this.#over(reason)
  }

  #break(why: 'keep-alive' | 'replaced', message: string): void {
    this.#parts.socket.destroy()
    this.#over(because(why, `the connection to ${this.peer} is lost: ${message}`, { definite: false }))
  }

  #over(reason: AtollError | undefined): void {
    if (this.#state !== 'open') return
    this.#state = 'over'
    this.#reason = reason
    this.#keepAlive.stop()
    this.#parts.partials.hold(this, 0)
    this.#makeRoom()
    if (reason !== undefined)
      this.#parts.metrics.count('atoll_tcp_lost_total', 1, { reason: reasonOf(reason) })
    this.#parts.onOver()
    this.#tellOver()
  }

  /** Tells the end once there is somebody to tell, and after the frames that came before it. */
  #tellOver(): void {
    const onClose = this.#onClose
    if (this.#state !== 'over' || onClose === undefined || this.#waiting.length > 0) return
    this.#state = 'told'
    void Promise.resolve().then(() => onClose(this.#reason))
  }

  #makeRoom(): void {
    this.#room?.open()
    this.#room = undefined
  }
}

function ignore(): void {}

/**
 * Without zeros, which cost a fifth of the way of a large body. All of an array is one body's, whose receiver may
 * return it.
 */
function allocate(bytes: number): Uint8Array {
  const buffer = borrowBuffer(bytes, (size) => Buffer.allocUnsafeSlow(size).buffer)
  return new Uint8Array(buffer, 0, bytes)
}

function createRoom(): Room {
  let open = () => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}
