import type { KeyId } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import type { CallOptions, Site } from './call.ts'
import { type GetEffect, type GetEvent, GetMachine, type GetPlan } from './get-machine.ts'
import { aborted, asAtollError, unmetRead } from './outcome.ts'
import type { ReplicaRead } from './ports.ts'
import { ReadCall } from './read-call.ts'
import type { Repair } from './repairs.ts'

export interface GetRequest extends GetPlan {
  readonly id: KeyId
  /** The primaries that are not asked because they are down. */
  readonly down: () => readonly string[]
}

/** Asks all replicas and drives a `GetMachine`; answers with the merged record. */
export class GetCall extends ReadCall {
  readonly #request: GetRequest
  readonly #machine: GetMachine

  constructor(site: Site, options: CallOptions, request: GetRequest) {
    super(site, options)
    this.#request = request
    this.#machine = new GetMachine(request)
  }

  protected override begin(): void {
    const { targets } = this.#request
    for (let at = 0; at < targets.length; at++) {
      const target = targets[at]
      if (target !== undefined) this.#ask(at, target)
    }
  }

  protected override onSilence(): void {
    this.site.runtime.probe.mark('coordinator.get_silence')
    this.#step({ kind: 'silence' })
  }

  protected override onTimeout(): void {
    this.#step({ kind: 'timeout' })
  }

  protected override onAbort(signal: AbortSignal): void {
    this.reject(aborted(signal, true))
  }

  #ask(at: number, target: PreferenceEntry): void {
    this.asking()
    this.site.replicas.get(target, this.#request.id, this.optionsForOne()).then(
      (read) => this.#answered(at, read),
      (error: unknown) => this.#failed(at, error),
    )
  }

  #askSpare(at: number, target: PreferenceEntry): void {
    const { metrics, probe } = this.site.runtime
    probe.mark('coordinator.get_spare')
    metrics.count('atoll_coordinator_read_spares_total')
    this.#ask(at, target)
  }

  #answered(at: number, { record, corrupt }: ReplicaRead): void {
    if (record !== undefined) this.#step({ kind: 'found', at, record })
    else this.#step({ kind: corrupt ? 'corrupt' : 'missing', at })
    this.heard()
  }

  #failed(at: number, error: unknown): void {
    this.#step({ kind: 'failed', at, error: asAtollError(error) })
    this.heard()
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
