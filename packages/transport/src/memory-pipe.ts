import type { AtollError, Timer } from '@atoll/core'
import { Fifo } from './fifo.ts'
import type { Conditions } from './memory-conditions.ts'
import type { Frame } from './ports.ts'

/** A goodbye, with what is wrong. */
export interface Fin {
  readonly fin: AtollError | undefined
}

/** What travels besides frames. Neither is ever lost by chance: a real network would send it again. */
export type Signal = Fin | 'reset'

interface Entry {
  readonly item: Frame | Signal
  readonly bytes: number
  /** When it arrives, if those before it have arrived by then; 0 for at once, in a microtask. */
  readonly dueMs: number
}

interface Room {
  readonly promise: Promise<void>
  readonly open: () => void
}

/** One direction of a connection: a queue whose items arrive in order, each no earlier than its delay says. */
export class Pipe {
  /** Takes what arrives. Items wait until it is set. */
  #receive: ((item: Frame | Signal) => void) | undefined
  readonly #conditions: Conditions
  readonly #from: string
  readonly #to: string
  readonly #queue = new Fifo<Entry>()
  #bytes = 0
  #room: Room | undefined
  #timer: Timer | undefined
  #scheduled = false

  constructor(conditions: Conditions, from: string, to: string) {
    this.#conditions = conditions
    this.#from = from
    this.#to = to
  }

  /** Starts the flow into `receive`. */
  attach(receive: (item: Frame | Signal) => void): void {
    this.#receive = receive
    this.#schedule()
  }

  send(frame: Frame): Promise<void> | undefined {
    if (this.#conditions.blocks(this.#from, this.#to) || this.#conditions.drawLoss()) return undefined
    const bytes = frame.head.length + (frame.body?.length ?? 0)
    this.#push(frame, bytes)
    if (this.#conditions.drawRepeat()) this.#push(copyOf(frame), bytes)
    if (this.#bytes <= this.#conditions.highWaterBytes) return undefined
    this.#room ??= createRoom()
    return this.#room.promise
  }

  signal(signal: Signal): void {
    if (!this.#conditions.blocks(this.#from, this.#to)) this.#push(signal, 0)
  }

  /** Drops what is on the way. */
  clear(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#queue.clear()
    this.#bytes = 0
    this.release()
  }

  /** Frees a sender that waits for room. */
  release(): void {
    this.#room?.open()
    this.#room = undefined
  }

  #push(item: Frame | Signal, bytes: number): void {
    const delayMs = this.#conditions.drawDelayMs()
    const dueMs = delayMs === 0 ? 0 : this.#conditions.clock.monotonicMs() + delayMs
    this.#bytes += bytes
    this.#queue.push({ item, bytes, dueMs })
    this.#schedule()
  }

  #schedule(): void {
    const next = this.#queue.peek()
    if (next === undefined || this.#scheduled || this.#timer !== undefined || this.#receive === undefined)
      return
    if (next.dueMs > 0) {
      const delayMs = next.dueMs - this.#conditions.clock.monotonicMs()
      this.#timer = this.#conditions.clock.timer(Math.max(0, delayMs), this.#onTimer)
    } else {
      this.#scheduled = true
      void Promise.resolve().then(this.#onTurn)
    }
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined
    const nowMs = this.#conditions.clock.monotonicMs()
    // At least one: the clock may stand a rounding error before the due time that the timer was made from.
    do this.#deliver()
    while ((this.#queue.peek()?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs)
    this.#schedule()
  }

  readonly #onTurn = (): void => {
    this.#scheduled = false
    for (let left = this.#queue.length; left > 0 && this.#queue.peek()?.dueMs === 0; left--) this.#deliver()
    this.#schedule()
  }

  #deliver(): void {
    const entry = this.#queue.shift()
    if (entry === undefined) return
    this.#bytes -= entry.bytes
    if (this.#bytes * 2 <= this.#conditions.highWaterBytes) this.release()
    if (this.#conditions.blocks(this.#from, this.#to)) return
    if (!this.#conditions.isFrozen(this.#to)) this.#receive?.(entry.item)
    else this.#conditions.takeIn(this.#to, () => this.#receive?.(entry.item))
  }
}

/** A repetition may arrive when the call is over, and its sender has taken the bytes of the first one back. */
function copyOf({ head, body }: Frame): Frame {
  return body === undefined ? { head } : { head, body: new Uint8Array(body) }
}

function createRoom(): Room {
  let open = () => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}
