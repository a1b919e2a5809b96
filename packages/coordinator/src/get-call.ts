import { headDigest, type StoredRecord } from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import type { CallOptions, Site } from './call.ts'
import { type DigestEffect, DigestReads, type KnownRecord } from './digest-reads.ts'
import { type GetEffect, type GetEvent, GetMachine, type GetPlan } from './get-machine.ts'
import type { Latency } from './latency.ts'
import { aborted, asAtollError, unmetRead } from './outcome.ts'
import type { ReplicaRead } from './ports.ts'
import { ReadCall } from './read-call.ts'
import type { Repair } from './repairs.ts'

export interface GetRequest extends GetPlan {
  readonly id: KeyId
  /** The primaries that are not asked because they are down. */
  readonly down: () => readonly string[]
  /** What this node has from before, to be confirmed. */
  readonly known: KnownRecord | undefined
  /** The place of the target that is asked for its record; of the others the digest will do, unless the read repairs. */
  readonly first: number
  readonly latency: Latency
}

/** Asks all replicas and drives a `GetMachine`; answers with the merged record. */
export class GetCall extends ReadCall {
  readonly #request: GetRequest
  readonly #machine: GetMachine
  readonly #digests: DigestReads
  readonly #startMs: number
  /** Whether the replica that was asked for its record has had its time. */
  #isHurried: boolean
  /** How long that is, until all have had theirs. */
  #hurryMs = 0
  #isOver = false

  constructor(site: Site, options: CallOptions, request: GetRequest) {
    super(site, options)
    this.#request = request
    this.#machine = new GetMachine(request)
    const { known, first, targets, latency } = request
    const { digest, clock } = site.runtime
    const node = known === undefined ? targets[first]?.node : undefined
    if (node !== undefined)
      this.#hurryMs = Math.min(site.settings.attemptTimeoutMs / 2, latency.hedgeMs(node))
    const digestOf = (record: StoredRecord) => headDigest(record, digest.sha1)
    this.#isHurried = node === undefined
    this.#digests = new DigestReads({ first: known === undefined ? first : undefined, known, digestOf })
    this.#startMs = clock.monotonicMs()
  }

  protected override begin(): void {
    const { targets, known, first, repair } = this.#request
    for (let at = 0; at < targets.length; at++) {
      const target = targets[at]
      if (target !== undefined) this.#ask(at, target, !repair && (known !== undefined || at !== first))
    }
  }

  /** First for the replica that was asked for its record, as long as a hedge would wait; then for all. */
  protected override get patienceMs(): number {
    const { attemptTimeoutMs } = this.site.settings
    return this.#isHurried ? attemptTimeoutMs - this.#hurryMs : this.#hurryMs
  }

  protected override onSilence(): void {
    if (!this.#isHurried) {
      this.#isHurried = true
      this.#follow(this.#digests.step({ kind: 'hurry' }))
      return
    }
    this.#hurryMs = 0
    this.site.runtime.probe.mark('coordinator.get_silence')
    this.#step({ kind: 'silence' })
  }

  protected override onTimeUp(): void {
    this.#isOver = true
    this.#step({ kind: 'timeout' })
  }

  protected override onAbort(signal: AbortSignal): void {
    this.#isOver = true
    this.reject(aborted(signal, true))
  }

  #ask(at: number, target: PreferenceEntry, digestOnly: boolean): void {
    this.asking()
    const options = this.optionsForOne()
    const asked = digestOnly ? { timeoutMs: options.timeoutMs, signal: options.signal, digestOnly } : options
    this.site.replicas.get(target, this.#request.id, asked).then(
      (read) => this.#answered(at, read),
      (error: unknown) => this.#failed(at, error),
    )
  }

  /** Of a digest that is of no known record comes the record itself, unless nobody waits for it any more. */
  #follow(effects: readonly DigestEffect[]): void {
    for (const effect of effects) {
      const { at } = effect
      const target = this.#request.targets[at]
      if (effect.kind === 'same') this.#step({ kind: 'found', at, record: effect.record })
      else if (!this.#isOver && target !== undefined) {
        this.site.runtime.probe.mark('coordinator.digest_differs')
        this.site.runtime.metrics.count('atoll_coordinator_digest_mismatches_total')
        this.#ask(at, target, false)
      }
    }
  }

  #askSpare(at: number, target: PreferenceEntry): void {
    const { metrics, probe } = this.site.runtime
    probe.mark('coordinator.get_spare')
    metrics.count('atoll_coordinator_read_spares_total')
    this.#ask(at, target, false)
  }

  #answered(at: number, { record, corrupt, digest }: ReplicaRead): void {
    if (at === this.#request.first) this.#firstAnswered()
    if (digest !== undefined) this.#follow(this.#digests.step({ kind: 'digest', at, digest }))
    else if (record !== undefined) {
      this.#step({ kind: 'found', at, record })
      this.#follow(this.#digests.step({ kind: 'record', at, record }))
    } else {
      this.#step({ kind: corrupt ? 'corrupt' : 'missing', at })
      this.#follow(this.#digests.step({ kind: 'nothing', at }))
    }
    this.heard()
  }

  #failed(at: number, error: unknown): void {
    if (at === this.#request.first) this.#firstFailed()
    this.#step({ kind: 'failed', at, error: asAtollError(error) })
    this.#follow(this.#digests.step({ kind: 'nothing', at }))
    this.heard()
  }

  #firstAnswered(): void {
    const { targets, first, latency } = this.#request
    const nowMs = this.site.runtime.clock.monotonicMs()
    const node = targets[first]?.node
    if (node !== undefined) latency.answered(node, nowMs - this.#startMs, nowMs)
  }

  #firstFailed(): void {
    const { targets, first, latency } = this.#request
    const node = targets[first]?.node
    if (node !== undefined) latency.failed(node, this.site.runtime.clock.monotonicMs())
  }

  /** What the caller's own `shows` throws is the caller's. */
  #step(event: GetEvent): void {
    try {
      this.#apply(this.#machine.step(event))
    } catch (error) {
      this.reject(error)
    }
  }

  #apply(effects: readonly GetEffect[]): void {
    const { targets, repair } = this.#request
    const repairs: Repair[] = []
    let answer: (GetEffect & { readonly kind: 'answer' }) | undefined
    for (const effect of effects) {
      if (effect.kind === 'answer') answer = effect
      else if (effect.kind === 'ask') this.#askSpare(effect.at, effect.target)
      else if (effect.kind === 'unmet') this.#unmet(effect.timedOut)
      else {
        const target = targets[effect.at]
        if (target !== undefined) repairs.push({ target, record: effect.record })
      }
    }
    this.conclude(answer, { id: this.#request.id, repairs, first: repair })
  }

  #unmet(timedOut: boolean): void {
    if (this.answered) return
    const machine = this.#machine
    const { quorum, down } = this.#request
    this.site.runtime.probe.mark('coordinator.get_unmet')
    this.site.runtime.metrics.count('atoll_coordinator_unmet_total', 1, { kind: 'read' })
    const [tally, failures, isCorrupt] = [machine.tally(), machine.failures(), machine.isCorrupt()]
    this.reject(unmetRead({ quorum, tally, failures, isCorrupt, down: down(), timedOut }))
  }
}
