import { AtollError, storageFailure } from '@atoll/core'
import { bodyBytesOf, type LoggedOp, metaBytesOf, type Op } from './operation.ts'
import type { ValueLogSettings } from './options.ts'
import { recordBytes } from './record.ts'
import type { BatchChain } from './requests.ts'

/** How far a batch has come when it is acknowledged: with the operating system, on the disk, or in the inner database. */
export type Stage = 'written' | 'durable' | 'applied'

/** A batch that waits, or several small ones that go as one from here on, or something to do between two batches. */
export interface Waiting {
  readonly ops: readonly Op[]
  readonly metaBytes: number
  readonly bodyBytes: number
  readonly until: Stage
  /** What it builds on. */
  readonly chain: BatchChain | undefined
  /** Called when everything before has been applied and nothing after. */
  readonly run: (() => void) | undefined
  /** Goes on to another segment, and writes a record of nothing there. */
  readonly leaves: boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface PushOptions {
  readonly run?: (() => void) | undefined
  /** Default false. */
  readonly leaves?: boolean
  readonly chain?: BatchChain | undefined
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
  /** The segments that were left for this one; they were written to, and must be synced too. */
  readonly left: readonly number[]
  /** It was written so that it is durable already. */
  readonly isDurable: boolean
}

/** Small batches that wait one behind the other, and from here on are one. */
interface Joined extends Waiting {
  readonly ops: Op[]
  metaBytes: number
  readonly acknowledged: Promise<void>
}

/** What batches must have in common that are joined. */
type Kind = Pick<Waiting, 'until' | 'chain'>

/** How many operations are joined at most: the inner database gets them in one go. */
const JOINED_OPS = 512
/** What share of a segment joined batches may take: as much may be left over at its end. */
const JOINED_SHARE = 1 / 64

/** What waits to be written. */
export class WriteQueue {
  readonly #settings: ValueLogSettings
  readonly #joinedBytes: number
  #waiting: Waiting[] = []
  /** The last that waits, if others may join it. */
  #last: Joined | undefined
  #bytes = 0

  constructor(settings: ValueLogSettings) {
    this.#settings = settings
    this.#joinedBytes = Math.min(settings.groupBytes, settings.segmentBytes * JOINED_SHARE)
  }

  get length(): number {
    return this.#waiting.length
  }

  get first(): Waiting | undefined {
    return this.#waiting[0]
  }

  /**
   * Resolves when the batch is acknowledged. Small ones join the one before: a promise, and what the stages do for each
   * batch, cost more than writing 200 bytes.
   */
  push(ops: readonly Op[], until: Stage, { run, chain, leaves = false }: PushOptions = {}): Promise<void> {
    let metaBytes = 0
    let bodyBytes = 0
    for (const op of ops) {
      metaBytes += metaBytesOf(op)
      bodyBytes += bodyBytesOf(op)
    }
    const bytes = metaBytes + bodyBytes
    const refusal = this.#refusal(bytes)
    if (refusal !== undefined) return refused(refusal, chain)
    this.#bytes += bytes
    if (run !== undefined || leaves || bodyBytes > 0 || bytes > this.#joinedBytes) {
      this.#last = undefined
      return new Promise((resolve, reject) => {
        this.#waiting.push({ ops, metaBytes, bodyBytes, until, run, leaves, chain, resolve, reject })
      })
    }
    return this.#join(ops, metaBytes, { until, chain })
  }

  #join(ops: readonly Op[], metaBytes: number, { until, chain }: Kind): Promise<void> {
    let last = this.#last
    const hasRoom =
      last?.until === until &&
      last.chain === chain &&
      last.ops.length + ops.length <= JOINED_OPS &&
      last.metaBytes + metaBytes <= this.#joinedBytes
    if (last === undefined || !hasRoom) {
      last = joined({ until, chain })
      this.#last = last
      this.#waiting.push(last)
    }
    for (const op of ops) last.ops.push(op)
    last.metaBytes += metaBytes
    return last.acknowledged
  }

  /** How many batches go into one record of at most `roomBytes`: at most a group's worth, 0 if the first is too large. */
  countThatFits(roomBytes: number): number {
    let metaBytes = 0
    let bodyBytes = 0
    let count = 0
    for (const next of this.#waiting) {
      if (next.run !== undefined || next.leaves) break
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
    this.#last = undefined
    for (const { metaBytes, bodyBytes } of taken) this.#bytes -= metaBytes + bodyBytes
    return taken
  }

  abandon(error: AtollError): void {
    for (const one of this.take(this.#waiting.length)) refuse(one, error)
  }

  /** Rejects what was taken, and all that waits and builds on it. */
  fail(taken: readonly Waiting[], error: AtollError): void {
    for (const one of taken) refuse(one, error)
    const broken = new Set(taken.flatMap(({ chain }) => (chain === undefined ? [] : [chain])))
    if (broken.size === 0) return
    const isBroken = ({ chain }: Waiting) => chain !== undefined && broken.has(chain)
    for (const one of this.#waiting.filter(isBroken)) {
      this.#bytes -= one.metaBytes + one.bodyBytes
      refuse(one, unbuilt(error))
    }
    this.#waiting = this.#waiting.filter((one) => !isBroken(one))
    this.#last = undefined
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

/** On its way through the stages to do something, and nothing else. */
export function groupOfNothing(waiting: readonly Waiting[]): Group {
  return { waiting, ops: [], bytes: 0, sequence: 0, slot: 0, end: 0, left: [], isDurable: false }
}

export function refuseGroups(groups: readonly Group[], error: AtollError): void {
  for (const { waiting } of groups) for (const one of waiting) refuse(one, error)
}

/** Rejects a batch, and with it whatever is yet to come of its chain. */
export function refuse({ chain, reject }: Pick<Waiting, 'chain' | 'reject'>, error: AtollError): void {
  if (chain !== undefined) chain.failure ??= error
  reject(error)
}

export function refused(error: AtollError, chain: BatchChain | undefined): Promise<never> {
  return new Promise((_, reject) => refuse({ chain, reject }, error))
}

/** What a batch fails with that builds on one that has failed. */
export function unbuilt(cause: AtollError): AtollError {
  return storageFailure('a batch before this one failed', cause, { definite: true })
}

function joined({ until, chain }: Kind): Joined {
  let resolve: () => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const acknowledged = new Promise<void>((whenDone, whenFailed) => {
    resolve = whenDone
    reject = whenFailed
  })
  const nothing = { ops: [], metaBytes: 0, bodyBytes: 0, run: undefined, leaves: false }
  return { ...nothing, until, chain, resolve, reject, acknowledged }
}
