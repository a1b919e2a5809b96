import { AtollError, type Runtime } from '@atoll/core'
import type { CallContext } from '@atoll/transport'
import { checkValues } from '../envelope.ts'
import type { VnodeHost } from '../host.ts'
import { Job } from './jobs.ts'
import type { HandoffOptions } from './options.ts'
import { Pace } from './pace.ts'
import type { EndRequest, HandoffKind, OfferReply, OfferRequest, SendReply, SendRequest } from './protocol.ts'
import { mergeAll } from './sender.ts'

export interface ReceiverParts {
  readonly host: VnodeHost
  /** Stops giving a partition away, if this node does; resolves when it has. */
  readonly stopGiving: (partition: number) => boolean
}

/** Takes records from other nodes, for so many vnodes at a time. */
export class Receiver {
  readonly #runtime: Runtime
  readonly #parts: ReceiverParts
  readonly #options: Required<HandoffOptions>
  readonly #pace: Pace
  readonly #jobs = new Map<string, Job>()

  constructor(runtime: Runtime, parts: ReceiverParts, options: Required<HandoffOptions>) {
    this.#runtime = runtime
    this.#parts = parts
    this.#options = options
    this.#pace = new Pace(runtime.clock, options.receiveBytesPerSecond)
  }

  async offer(request: OfferRequest, { from }: Pick<CallContext, 'from'>): Promise<OfferReply> {
    this.#admit(request, from)
    const vnode = this.#parts.host.handoffOf(request.partition)
    const held = await Promise.all(request.entries.map(({ id, digest }) => vnode.holds(id, digest)))
    return { lacking: held.flatMap((isHeld, at) => (isHeld ? [] : [at])) }
  }

  async send(request: SendRequest, { from }: Pick<CallContext, 'from'>): Promise<SendReply> {
    const { host } = this.#parts
    let bytes = 0
    for (const { record } of request.records) {
      checkValues(record, host.crc32)
      for (const { value } of record.siblings) bytes += value.length
    }
    const job = this.#admit(request, from)
    const refused = await mergeAll(host, request.partition, request.records)
    job.moved(request.records.length - refused.length, bytes)
    const pauseMs = this.#pace.charge(bytes)
    // Silence that this node has asked for does not count.
    job.lastMs = this.#runtime.clock.monotonicMs() + pauseMs
    return { refused, pauseMs }
  }

  end({ partition, kind }: EndRequest, from: string): void {
    this.#jobs.delete(nameOf({ partition, kind }, from))
  }

  /** Whether a vnode is being taken over. */
  isTaking(partition: number): boolean {
    return this.jobs().some(
      ({ identity }) => identity.partition === partition && identity.kind === 'transfer',
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

  #admit(request: { readonly partition: number; readonly kind: HandoffKind }, from: string): Job {
    const { partition, kind } = request
    this.#refuseInMotion(partition, kind, from)
    const name = nameOf(request, from)
    const job = this.#jobs.get(name) ?? this.#newJob(request, from)
    this.#jobs.set(name, job)
    job.lastMs = this.#runtime.clock.monotonicMs()
    return job
  }

  /** What comes for a vnode that is just leaving would be overlooked, and what is about to be sent must not be given back. */
  #refuseInMotion(partition: number, kind: HandoffKind, from: string): void {
    const gate = this.#parts.host.gates.get(partition)
    if (kind === 'transfer') {
      if (this.#parts.stopGiving(partition)) throw inMotion(partition, 'is just being given away')
      if (gate === undefined || gate.to === from) return
    }
    if (gate === undefined) return
    if (gate.phase !== 'copying') throw inMotion(partition, `is being handed over to ${gate.to}`)
    if (kind === 'give-back' && gate.to === from) throw inMotion(partition, `moves to ${from}`)
  }

  #newJob(
    { partition, kind }: { readonly partition: number; readonly kind: HandoffKind },
    from: string,
  ): Job {
    const { maxIncoming } = this.#options
    if (this.jobs().length >= maxIncoming) {
      const message = `the node takes records for ${maxIncoming} vnodes already`
      throw new AtollError('ATOLL_OVERLOADED', message)
    }
    const to = this.#parts.host.node
    const job = new Job(this.#runtime, { kind, direction: 'in', partition, from, to })
    job.phase = 'receiving'
    return job
  }
}

function nameOf({ partition, kind }: { readonly partition: number; readonly kind: string }, from: string) {
  return `${kind} ${partition} ${from}`
}

function inMotion(partition: number, why: string): AtollError {
  return new AtollError('ATOLL_OVERLOADED', `partition ${partition} ${why}; later`)
}
