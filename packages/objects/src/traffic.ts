import { AtollError, type Clock, ignoreAbort, listenToAbort, type Timer } from '@atoll/core'

/** A request that can be cut. */
export interface Stay {
  /** Aborted with `ATOLL_CLOSED` when the request is cut, and as the caller's own signal is. */
  readonly signal: AbortSignal
  /** Aborts what was begun for the request and is not needed any more. */
  cancel(): void
  /** Idempotent. */
  end(): void
}

interface Closing {
  readonly over: Promise<void>
  readonly resolve: () => void
  cutAtMs: number
  timer: Timer | undefined
  isCut: boolean
  isOver: boolean
}

/** A body that was handed out this recently is about to be read: closing waits for that. */
const LINGER_MS = 500
/** How long what was cut may take to clear up behind itself. */
const CLEAR_MS = 10_000

/** The requests and streams that a store has under way, so that it can end in order: nothing new, then nothing at all. */
export class Traffic {
  readonly #clock: Clock
  /** Of what can be cut, as many as there are streams. */
  readonly #streams = new Set<AbortController>()
  #count = 0
  /** Bodies that nobody has begun to read, and when the last one was handed out. */
  #unread = 0
  #handedOutMs = Number.NEGATIVE_INFINITY
  #closing: Closing | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A request that ends by itself before long. Throws `ATOLL_CLOSED` once the store closes. */
  async serve<T>(task: () => Promise<T>): Promise<T> {
    this.#assertOpen()
    this.#count += 1
    try {
      return await task()
    } finally {
      this.#leave()
    }
  }

  /** One that may take for ever. `signal` is the caller's. */
  async serveStream<T>(
    signal: AbortSignal | undefined,
    task: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    this.#assertOpen()
    const stay = this.#begin(signal)
    try {
      return await task(stay.signal)
    } finally {
      stay.end()
    }
  }

  /** A body of blocks, which the caller may begin to read at any time, or never. */
  handOut(): void {
    this.#unread += 1
    this.#handedOutMs = this.#clock.monotonicMs()
  }

  /** Begins such a body: it belongs to a request that was served, so only those that are cut are refused. */
  beginBody(signal: AbortSignal | undefined): Stay {
    this.#unread -= 1
    if (this.#closing?.isCut) throw closed()
    return this.#beginReading(signal)
  }

  /** A listing that goes on for as long as its reader wants. */
  beginListing(signal: AbortSignal | undefined): Stay {
    this.#assertOpen()
    return this.#beginReading(signal)
  }

  #beginReading(signal: AbortSignal | undefined): Stay {
    const stay = this.#begin(signal)
    // Its reader may never come back, and nothing of it has to be cleared up.
    listenToAbort(stay.signal, stay.end)
    return stay
  }

  /** After `close`. A new store is open. */
  open(): void {
    if (this.#closing?.isOver) this.#closing = undefined
  }

  /**
   * Resolves when nothing is under way. Of several calls the one that cuts first counts. What was cut and does not end
   * is not waited for beyond `CLEAR_MS`.
   */
  close(drainMs: number): Promise<void> {
    this.#closing ??= newClosing()
    const cutAtMs = this.#clock.monotonicMs() + drainMs
    if (cutAtMs < this.#closing.cutAtMs) {
      this.#closing.cutAtMs = cutAtMs
      this.#look()
    }
    return this.#closing.over
  }

  #leave(): void {
    this.#count -= 1
    if (this.#count === 0) this.#look()
  }

  #begin(signal: AbortSignal | undefined): Stay {
    const controller = new AbortController()
    const onAbort = () => controller.abort(signal?.reason)
    if (signal?.aborted) onAbort()
    else listenToAbort(signal, onAbort)
    this.#streams.add(controller)
    this.#count += 1
    return {
      signal: controller.signal,
      cancel: () => controller.abort(),
      end: () => {
        if (!this.#streams.delete(controller)) return
        ignoreAbort(signal, onAbort)
        this.#leave()
      },
    }
  }

  /** Does what is due, and looks again when the next thing is. */
  #look(): void {
    const closing = this.#closing
    if (closing === undefined || closing.isOver) return
    const nowMs = this.#clock.monotonicMs()
    if (nowMs >= closing.cutAtMs && !closing.isCut) {
      closing.isCut = true
      for (const stream of [...this.#streams]) stream.abort(closed())
    }
    closing.timer?.cancel()
    const dueMs = this.#dueMs(closing)
    if (nowMs < dueMs) {
      closing.timer = this.#clock.timer(Math.ceil(dueMs - nowMs), () => this.#look())
      return
    }
    closing.isCut = true
    closing.isOver = true
    closing.resolve()
  }

  #dueMs({ cutAtMs, isCut }: Closing): number {
    if (this.#count > 0) return isCut ? cutAtMs + CLEAR_MS : cutAtMs
    const lingersMs = this.#unread > 0 ? this.#handedOutMs + LINGER_MS : Number.NEGATIVE_INFINITY
    return Math.min(cutAtMs, lingersMs)
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closed()
  }
}

function newClosing(): Closing {
  let resolve = () => {}
  const over = new Promise<void>((settle) => {
    resolve = settle
  })
  return { over, resolve, cutAtMs: Number.POSITIVE_INFINITY, timer: undefined, isCut: false, isOver: false }
}

function closed(): AtollError {
  return new AtollError('ATOLL_CLOSED', 'the object store closes, or is closed')
}
