import { AtollError } from '@atoll/core'
import type { ValueLogSettings } from './options.ts'
import { bodyBytesOf, type LoggedOp, metaBytesOf, type Op, recordBytes } from './record.ts'

/** How far a batch has come when it is acknowledged: with the operating system, on the disk, or in the inner database. */
export type Stage = 'written' | 'durable' | 'applied'

/** A batch that waits, or something to do between two batches. */
export interface Waiting {
  readonly ops: readonly Op[]
  readonly metaBytes: number
  readonly bodyBytes: number
  readonly until: Stage
  /** Called when everything before has been applied and nothing after. */
  readonly run: (() => void) | undefined
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Batches that share one record of the log. */
export interface Group {
  readonly waiting: readonly Waiting[]
  readonly ops: readonly LoggedOp[]
  readonly bytes: number
  readonly sequence: number
  /** Where the record ends. */
  readonly slot: number
  readonly end: number
  /** The segment that was left for this one; it was written to, and must be synced too. */
  readonly left: number | undefined
}

/** What waits to be written. */
export class WriteQueue {
  readonly #settings: ValueLogSettings
  #waiting: Waiting[] = []
  #bytes = 0

  constructor(settings: ValueLogSettings) {
    this.#settings = settings
  }

  get length(): number {
    return this.#waiting.length
  }

  get first(): Waiting | undefined {
    return this.#waiting[0]
  }

  /** Resolves when the batch is acknowledged. */
  push(ops: readonly Op[], until: Stage, run?: () => void): Promise<void> {
    let metaBytes = 0
    let bodyBytes = 0
    for (const op of ops) {
      metaBytes += metaBytesOf(op)
      bodyBytes += bodyBytesOf(op)
    }
    const bytes = metaBytes + bodyBytes
    const refusal = this.#refusal(bytes)
    if (refusal !== undefined) return Promise.reject(refusal)
    this.#bytes += bytes
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ops, metaBytes, bodyBytes, until, run, resolve, reject })
    })
  }

  /** How many batches go into one record of at most `roomBytes`: at most a group's worth, 0 if the first is too large. */
  countThatFits(roomBytes: number): number {
    let metaBytes = 0
    let bodyBytes = 0
    let count = 0
    for (const next of this.#waiting) {
      if (next.run !== undefined) break
      metaBytes += next.metaBytes
      bodyBytes += next.bodyBytes
      if (recordBytes(metaBytes, bodyBytes) > roomBytes) break
      if (count > 0 && metaBytes + bodyBytes > this.#settings.groupBytes) break
      count += 1
    }
    return count
  }

  take(count: number): Waiting[] {
    const taken = count === this.#waiting.length ? this.#waiting : this.#waiting.splice(0, count)
    if (taken === this.#waiting) this.#waiting = []
    for (const { metaBytes, bodyBytes } of taken) this.#bytes -= metaBytes + bodyBytes
    return taken
  }

  abandon(error: AtollError): void {
    for (const { reject } of this.take(this.#waiting.length)) reject(error)
  }

  #refusal(bytes: number): AtollError | undefined {
    const { maxBatchBytes, maxPendingBytes } = this.#settings
    if (bytes > maxBatchBytes) {
      const message = `a batch has ${bytes} bytes; the limit is ${maxBatchBytes} (maxBatchBytes)`
      return new AtollError('ATOLL_TOO_LARGE', message)
    }
    if (this.#waiting.length > 0 && this.#bytes + bytes > maxPendingBytes) {
      const message = `${this.#bytes} bytes of batches wait for the disk; the limit is ${maxPendingBytes} (maxPendingBytes)`
      return new AtollError('ATOLL_OVERLOADED', message)
    }
    return undefined
  }
}
