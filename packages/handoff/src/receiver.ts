import { AtollError, type Runtime } from '@atoll/core'
import type { CallContext } from '@atoll/transport'
import { checkValues, type VnodeHost } from '@atoll/vnode'
import { whyNotTaken } from './incoming.ts'
import { Job } from './jobs.ts'
import type { HandoffOptions } from './options.ts'
import { Pace } from './pace.ts'
import { Places } from './places.ts'
import type {
  EndRequest,
  HandoffKind,
  OfferReply,
  OfferRequest,
  OfRing,
  SendReply,
  SendRequest,
} from './protocol.ts'
import { mergeAll, returnValues } from './sender.ts'

export interface ReceiverParts {
  readonly host: VnodeHost
  /** Stops giving a partition away, and says whether this node does: until it has ended, nothing may come. */
  readonly stopGiving: (partition: number) => boolean
  /** Throws if the sender goes by another ring than the one by which the records here are filed. */
  readonly checkRing: (ring: OfRing) => void
}

/** The longest that a sender waits for a place; then it gives up the places that it holds elsewhere, and tries again. */
const LONGEST_WAIT_MS = 5000
/** Of the time that a sender has left: it shall hear of it before its time is over. */
const SHARE_OF_TIME = 0.75
const MAX_WAITING = 256

type Caller = Pick<CallContext, 'from' | 'signal' | 'remainingMs' | 'ownsBody'>

/** Takes records from other nodes, for so many vnodes at a time. */
export class Receiver {
  readonly #runtime: Runtime
  readonly #parts: ReceiverParts
  readonly #options: Required<HandoffOptions>
  readonly #pace: Pace
  readonly #jobs = new Map<string, Job>()
  readonly #places: Places

  constructor(runtime: Runtime, parts: ReceiverParts, options: Required<HandoffOptions>) {
    this.#runtime = runtime
    this.#parts = parts
    this.#options = options
    this.#pace = new Pace(runtime.clock, options.receiveBytesPerSecond)
    this.#places = new Places({
      clock: runtime.clock,
      isFree: () => this.jobs().length < options.maxIncoming,
      maxWaiting: MAX_WAITING,
    })
  }

  async offer(request: OfferRequest, caller: Caller): Promise<OfferReply> {
    await this.#admit(request, caller)
    const vnode = this.#parts.host.handoffOf(request.partition)
    const held = await Promise.all(request.entries.map((entry) => vnode.holds(entry)))
    return { lacking: held.flatMap((isHeld, at) => (isHeld ? [] : [at])) }
  }

  async send(request: SendRequest, caller: Caller): Promise<SendReply> {
    const { host } = this.#parts
    let bytes = 0
    for (const { record } of request.records) {
      checkValues(record, host.crc32)
      for (const { value } of record.siblings) bytes += value.length
    }
    const job = await this.#admit(request, caller)
    const refused = await mergeAll(host, request.partition, request.records)
    if (caller.ownsBody) for (const { record } of request.records) returnValues(record)
    job.moved(request.records.length - refused.length, bytes)
    const pauseMs = this.#pace.charge(bytes)
    // Silence that this node has asked for does not count.
    job.lastMs = this.#runtime.clock.monotonicMs() + pauseMs
    return { refused, pauseMs }
  }

  end({ partition, kind }: EndRequest, from: string): void {
    this.#jobs.delete(nameOf({ partition, kind }, from))
    this.#places.look()
  }

  /** Whether a vnode is being taken over or filled: what is here counts as held from then on. */
  isTaking(partition: number): boolean {
    return this.jobs().some(
      ({ identity }) => identity.partition === partition && identity.kind !== 'give-back',
    )
  }

  /** Those of which something was heard lately. */
  jobs(): readonly Job[] {
    const oldestMs = this.#runtime.clock.monotonicMs() - this.#options.incomingIdleMs
    for (const [name, { lastMs }] of this.#jobs) if (lastMs < oldestMs) this.#jobs.delete(name)
    return [...this.#jobs.values()]
  }

  clear(): void {
    this.#jobs.clear()
  }

  async #admit(request: Incoming, caller: Caller): Promise<Job> {
    const name = nameOf(request, caller.from)
    this.#refuseInMotion(request, caller.from)
    const job = this.#jobs.get(name) ?? (await this.#newJob(request, caller))
    job.lastMs = this.#runtime.clock.monotonicMs()
    return job
  }

  #refuseInMotion({ partition, kind, partitions }: Incoming, from: string): void {
    this.#parts.checkRing({ partitions })
    const isGiving = kind !== 'give-back' && this.#parts.stopGiving(partition)
    const why = whyNotTaken({ kind, from }, { gate: this.#parts.host.gates.get(partition), isGiving })
    if (why === undefined) return
    throw new AtollError('ATOLL_OVERLOADED', `partition ${partition} ${why}; try again later`)
  }

  /** Of one sender and vnode there is one job, however many of its messages wait. */
  async #newJob(request: Incoming, { from, signal, remainingMs }: Caller): Promise<Job> {
    const longestMs = Math.min(LONGEST_WAIT_MS, remainingMs * SHARE_OF_TIME)
    const begin = () => this.#jobs.get(nameOf(request, from)) ?? this.#begin(request, from)
    const job = await this.#places.take(begin, { longestMs, signal })
    if (job === undefined) {
      const message = `the node takes records for ${this.#options.maxIncoming} vnodes already`
      throw new AtollError('ATOLL_OVERLOADED', message)
    }
    try {
      // What was true when the sender came may not be true any more.
      this.#refuseInMotion(request, from)
    } catch (error) {
      this.end(request, from)
      throw error
    }
    return job
  }

  #begin(request: Incoming, from: string): Job {
    const { partition, kind } = request
    const to = this.#parts.host.node
    const job = new Job(this.#runtime, { kind, direction: 'in', partition, from, to })
    job.phase = 'receiving'
    this.#jobs.set(nameOf(request, from), job)
    return job
  }
}

interface Incoming extends OfRing {
  readonly partition: number
  readonly kind: HandoffKind
}

function nameOf({ partition, kind }: Incoming, from: string): string {
  return `${kind} ${partition} ${from}`
}
