import type { StoredRecord } from '@atoll/causality'
import { AtollError, type KeyId, LazySignal, type Timer } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import type { CallOptions, Site } from './call.ts'
import type { Latency } from './latency.ts'
import { type NearestEffect, NearestMachine, type NearestPlan } from './nearest-machine.ts'
import { aborted, asAtollError, unmetRead } from './outcome.ts'
import type { ReplicaCallOptions, ReplicaRead } from './ports.ts'
import type { ReadQuorum } from './quorum.ts'
import { ReadCall } from './read-call.ts'
import type { Repair } from './repairs.ts'

export interface NearestRequest extends NearestPlan {
  readonly id: KeyId
  readonly quorum: ReadQuorum
  /** The primaries that are not asked because they are down. */
  readonly down: () => readonly string[]
  readonly latency: Latency
  /** Whether the record of a replica is what the reader wants. */
  readonly accept: (record: StoredRecord) => boolean
}

/**
 * A hedge that comes later than this after its time tells of this process and not of the replica: it stood still, and
 * answers may lie unheard. Once the time is given back, at most as much as the wait was.
 */
const LATE_MS = 1

/** One for all calls: whoever is told has nobody to tell it to, and its stack would cost more than the rest. */
const NOT_NEEDED = new AtollError('ATOLL_ABORTED', 'the answer of this replica is not needed any more')

/** What replicas are asked with. A replica in this process mostly does not want the signal. */
class Asking implements ReplicaCallOptions {
  readonly timeoutMs: number
  readonly #enough = new LazySignal()

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs
  }

  get signal(): AbortSignal {
    return this.#enough.signal
  }

  stop(): void {
    this.#enough.abort(NOT_NEEDED)
  }
}

/** Drives a `NearestMachine`; a replica whose answer is not needed any more is told so. */
export class NearestCall extends ReadCall {
  readonly #request: NearestRequest
  readonly #machine: NearestMachine
  readonly #asking: Asking
  #hedge: Timer | undefined

  constructor(site: Site, options: CallOptions, request: NearestRequest) {
    super(site, options)
    this.#request = request
    this.#machine = new NearestMachine(request)
    this.#asking = new Asking(options.timeoutMs)
  }

  protected override begin(): void {
    this.#apply(this.#machine.step({ kind: 'start' }))
  }

  protected override onSilence(): void {
    this.site.runtime.probe.mark('coordinator.nearest_silence')
    this.#apply(this.#machine.step({ kind: 'silence' }))
  }

  protected override onTimeUp(): void {
    this.#apply(this.#machine.step({ kind: 'timeout' }))
  }

  protected override onAbort(signal: AbortSignal): void {
    this.reject(aborted(signal, true))
    this.#stop()
  }

  #apply(effects: readonly NearestEffect[]): void {
    const repairs: Repair[] = []
    let answer: (NearestEffect & { readonly kind: 'answer' }) | undefined
    for (const effect of effects) {
      switch (effect.kind) {
        case 'ask':
          this.#ask(effect.at, effect.target)
          break
        case 'wait':
          this.#wait(effect.node)
          break
        case 'answer':
          answer = effect
          break
        case 'unmet':
          this.#unmet(effect.timedOut)
          break
        case 'repair':
          repairs.push(effect)
      }
    }
    this.conclude(answer, { id: this.#request.id, repairs, first: this.#request.repair })
    if (this.answered) this.#stop()
  }

  #ask(at: number, target: PreferenceEntry): void {
    const { clock } = this.site.runtime
    const startMs = clock.monotonicMs()
    this.asking()
    this.site.replicas.get(target, this.#request.id, this.#asking).then(
      (read) => {
        const nowMs = clock.monotonicMs()
        this.#request.latency.answered(target.node, nowMs - startMs, nowMs)
        this.#heardFrom(at, read)
        this.heard()
      },
      (error: unknown) => {
        const nowMs = clock.monotonicMs()
        if (this.answered) this.#request.latency.outrun(target.node, nowMs - startMs, nowMs)
        else {
          this.#request.latency.failed(target.node, nowMs)
          this.#apply(this.#machine.step({ kind: 'failed', at, error: asAtollError(error) }))
        }
        this.heard()
      },
    )
  }

  #heardFrom(at: number, { record, corrupt }: ReplicaRead): void {
    if (this.answered) return
    if (record === undefined) {
      this.#apply(this.#machine.step({ kind: corrupt ? 'corrupt' : 'missing', at }))
      return
    }
    try {
      const accepted = this.#request.accept(record)
      if (!accepted) this.site.runtime.probe.mark('coordinator.value_refused')
      this.#apply(this.#machine.step(accepted ? { kind: 'found', at, record } : { kind: 'refused', at }))
    } catch (error) {
      this.reject(error)
      this.#stop()
    }
  }

  #wait(node: string): void {
    const { clock } = this.site.runtime
    const hedgeMs = this.#request.latency.hedgeMs(node)
    const dueMs = clock.monotonicMs() + hedgeMs
    this.#hedge?.cancel()
    this.#hedge = clock.timer(hedgeMs, () => {
      const lateMs = clock.monotonicMs() - dueMs
      if (lateMs <= LATE_MS) this.#askAnother()
      else this.#hedge = clock.timer(Math.min(lateMs, hedgeMs), () => this.#askAnother())
    })
  }

  #askAnother(): void {
    const { metrics, probe } = this.site.runtime
    probe.mark('coordinator.hedge')
    metrics.count('atoll_coordinator_hedges_total')
    this.#apply(this.#machine.step({ kind: 'hedge' }))
  }

  /** Mostly nobody else was asked, and an abort costs as much as the rest of the read. */
  #stop(): void {
    this.#hedge?.cancel()
    if (this.#machine.waiting) this.#asking.stop()
  }

  #unmet(timedOut: boolean): void {
    const machine = this.#machine
    this.site.runtime.probe.mark('coordinator.nearest_unmet')
    this.site.runtime.metrics.count('atoll_coordinator_unmet_total', 1, { kind: 'read' })
    const { quorum, down } = this.#request
    const [tally, failures, isCorrupt] = [machine.tally(), machine.failures(), machine.isCorrupt()]
    this.reject(unmetRead({ quorum, tally, failures, isCorrupt, down: down(), timedOut }))
  }
}
