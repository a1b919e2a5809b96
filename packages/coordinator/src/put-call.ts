import type { StoredRecord } from '@atoll/causality'
import { attempt, type KeyId } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { Call, type CallOptions, type Site } from './call.ts'
import { aborted, asAtollError, unmetWrite } from './outcome.ts'
import type { CoordinatedWrite, ReplicaCallOptions, ReplicaPutOptions } from './ports.ts'
import { type PutEffect, PutMachine, type PutPlan, type WriteTally } from './put-machine.ts'

export interface PutRequest extends PutPlan {
  readonly id: KeyId
  /** What a replica coordinates; not needed where there is a finished `record`. */
  readonly write: CoordinatedWrite | undefined
  /** Primaries that are not asked, and for which nobody stands in: those who are note it. */
  readonly hintFor?: readonly string[] | undefined
  /** All primaries that are not asked. Called only if a fallback is asked, or something went wrong. */
  readonly notAsked: () => readonly string[]
  /** Called when the write was met, and every replica that was asked has let go of the bytes of the value. */
  readonly onReleased?: (() => void) | undefined
}

/** A replica that was asked, by its place among the targets. */
interface Asked {
  readonly at: number
  readonly target: PreferenceEntry
}

const NOBODY: readonly string[] = []

export interface Written {
  readonly record: StoredRecord
  readonly tally: WriteTally
  /** Whether the write certainly met nothing else. */
  readonly alone: boolean
}

/**
 * Drives a `PutMachine`. The signal of the caller does not reach the replicas: what has begun goes on, for a write that
 * is on more replicas is never worse than one that is on fewer. Answers undefined if a replica declined to coordinate.
 */
export class PutCall extends Call<Written | undefined> {
  readonly #request: PutRequest
  readonly #machine: PutMachine
  readonly #storing: ReplicaPutOptions
  readonly #coordinating: ReplicaCallOptions
  /** Calls of replicas that have not said that they let go of the value. */
  #holding = 0
  #isMet = false
  /** Primaries that were asked, in whose place a fallback may be asked since. */
  #failedPrimaries = NOBODY

  constructor(site: Site, options: CallOptions, request: PutRequest) {
    super(site, options)
    this.#request = request
    this.#machine = new PutMachine(request)
    const [tellAlone, isFresh] = [request.aloneAt !== undefined, request.record !== undefined]
    this.#storing = { timeoutMs: options.timeoutMs, tellAlone, isFresh, tellTwice: !isFresh }
    this.#coordinating = { timeoutMs: Math.min(options.timeoutMs, site.settings.attemptTimeoutMs) }
  }

  protected override begin(): void {
    this.#apply(this.#machine.step({ kind: 'start' }))
  }

  protected override onTimeout(): void {
    this.#apply(this.#machine.step({ kind: 'timeout' }))
  }

  protected override onAbort(signal: AbortSignal): void {
    this.#machine.step({ kind: 'abort' })
    this.reject(aborted(signal, this.#machine.definite()))
  }

  #apply(effects: readonly PutEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'coordinate') this.#coordinate(effect.at, effect.target, effect.ifAlone)
      else if (effect.kind === 'store') this.#store(effect.at, effect.target, effect.record)
      else if (effect.kind === 'met') this.#met(effect.record, effect.alone)
      else if (effect.kind === 'declined') this.#declined()
      else this.#unmet(effect.timedOut)
    }
  }

  #met(record: StoredRecord, alone: boolean): void {
    this.#isMet = true
    this.resolve({ record, alone, tally: this.#machine.tally() })
  }

  #declined(): void {
    this.site.runtime.probe.mark('coordinator.put_declined')
    this.resolve(undefined)
  }

  #coordinate(at: number, target: PreferenceEntry, ifAlone: boolean): void {
    const { id, guarded, write } = this.#request
    if (write === undefined) return
    this.asking()
    this.#holding += 1
    const hintFor = this.#hintFor(target)
    const { content, valueCrc32, context, writeId } = write
    const asked = { content, valueCrc32, context, writeId, ifAlone, hintFor }
    let decided: StoredRecord | undefined
    const onDecided = (record: StoredRecord) => {
      decided = record
      this.#apply(this.#machine.step({ kind: 'decided', at, record }))
    }
    // What a guarded write decides has to be on the disk of whoever decides before anybody else hears of it.
    const options = guarded === true ? this.#coordinating : { ...this.#coordinating, onDecided }
    this.site.replicas.coordinate(target, id, asked, options).then(
      ({ record, declined }) => {
        if (declined) this.#apply(this.#machine.step({ kind: 'declined', at }))
        else if (decided === undefined) this.#apply(this.#machine.step({ kind: 'coordinated', at, record }))
        else this.#apply(this.#machine.step({ kind: 'stored', at, alone: ifAlone, of: decided }))
        this.heard()
      },
      (error: unknown) => this.#failed({ at, target }, error, decided),
    )
  }

  #store(at: number, target: PreferenceEntry, record: StoredRecord): void {
    const { id, quorum } = this.#request
    this.asking()
    this.#holding += 1
    // A replica that stored has accepted too, so that its word in between matters only where more must accept.
    const hintFor = this.#hintFor(target)
    const hinted = hintFor === undefined ? this.#storing : { ...this.#storing, hintFor }
    const options =
      quorum.w > quorum.dw ? { ...hinted, onAccepted: () => this.#accepted(at, record) } : hinted
    this.site.replicas.put(target, id, record, options).then(
      ({ alone = false, twice, released }) => {
        if (released === true) this.#holding -= 1
        this.#apply(this.#machine.step({ kind: 'stored', at, alone, twice, of: record }))
        this.heard()
      },
      (error: unknown) => this.#failed({ at, target }, error, record),
    )
  }

  /**
   * What a fallback has it gives to all who hold the key, unless it comes to hold the key itself meanwhile: so it notes
   * for whom it stands in.
   */
  #hintFor({ role }: PreferenceEntry): readonly string[] | undefined {
    const { hintFor, notAsked } = this.#request
    return role === 'primary' ? hintFor : [...notAsked(), ...this.#failedPrimaries]
  }

  /** Who was asked and failed, such as one whose answer was lost, may have missed the write as well. */
  protected override onOver(): Promise<void> | undefined {
    const { id, hintFor, notAsked, onReleased } = this.#request
    if (onReleased !== undefined && this.#isMet && this.#holding === 0)
      attempt(this.site.runtime, 'onReleased', onReleased)
    // Those that are noted with the write are so by all that have it.
    const missed = this.#machine.missed(() => (hintFor === undefined ? notAsked() : []))
    if (missed.length === 0) return undefined
    return this.site.hints.note(missed.map((one) => ({ id, ...one })))
  }

  #accepted(at: number, of: StoredRecord): void {
    this.#apply(this.#machine.step({ kind: 'accepted', at, of }))
  }

  #failed({ at, target }: Asked, error: unknown, of?: StoredRecord): void {
    const { metrics, probe } = this.site.runtime
    probe.mark('coordinator.put_replica_failed')
    metrics.count('atoll_coordinator_write_failures_total')
    const { node, role } = target
    const isNew = role === 'primary' && !this.#failedPrimaries.includes(node)
    if (isNew) this.#failedPrimaries = [...this.#failedPrimaries, node]
    const failed = { kind: 'failed', at, error: asAtollError(error) } as const
    this.#apply(this.#machine.step(of === undefined ? failed : { ...failed, of }))
    this.heard()
  }

  #unmet(timedOut: boolean): void {
    const machine = this.#machine
    const definite = machine.definite()
    this.site.runtime.probe.mark(definite ? 'coordinator.put_rejected' : 'coordinator.put_unknown')
    this.site.runtime.metrics.count('atoll_coordinator_unmet_total', 1, { kind: 'write' })
    const { quorum, notAsked } = this.#request
    const [tally, failures, down] = [machine.tally(), machine.failures(), notAsked()]
    this.reject(unmetWrite({ quorum, tally, failures, down, timedOut, definite }))
  }
}
