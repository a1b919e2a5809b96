import type { MergePolicy, StoredRecord } from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { Call, type CallOptions, type Site } from './call.ts'
import { type GetEffect, GetMachine } from './get-machine.ts'
import { aborted, asAtollError, unmetRead } from './outcome.ts'
import type { ReplicaRead } from './ports.ts'
import type { ReadQuorum } from './quorum.ts'

export interface GetRequest {
  readonly id: KeyId
  readonly targets: readonly PreferenceEntry[]
  readonly quorum: ReadQuorum
  readonly policy: MergePolicy
}

/** Asks all replicas and drives a `GetMachine`; answers with the merged record. */
export class GetCall extends Call<StoredRecord | undefined> {
  readonly #request: GetRequest
  readonly #machine: GetMachine

  constructor(site: Site, options: CallOptions, request: GetRequest) {
    super(site, options)
    this.#request = request
    this.#machine = new GetMachine(request)
  }

  protected override begin(): void {
    const { id, targets } = this.#request
    for (let at = 0; at < targets.length; at++) {
      const target = targets[at]
      if (target === undefined) continue
      this.asking()
      this.site.replicas.get(target, id, this.options).then(
        (read) => this.#answered(at, read),
        (error: unknown) => this.#failed(at, error),
      )
    }
  }

  protected override onTimeout(): void {
    this.#apply(this.#machine.step({ kind: 'timeout' }))
  }

  protected override onAbort(signal: AbortSignal): void {
    this.reject(aborted(signal, true))
  }

  #answered(at: number, { record, corrupt }: ReplicaRead): void {
    if (record !== undefined) this.#apply(this.#machine.step({ kind: 'found', at, record }))
    else this.#apply(this.#machine.step({ kind: corrupt ? 'corrupt' : 'missing', at }))
    this.heard()
  }

  #failed(at: number, error: unknown): void {
    this.#apply(this.#machine.step({ kind: 'failed', at, error: asAtollError(error) }))
    this.heard()
  }

  #apply(effects: readonly GetEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'answer') this.resolve(effect.record)
      else if (effect.kind === 'unmet') this.#unmet(effect.timedOut)
      else this.#repair(effect.at, effect.record)
    }
  }

  #repair(at: number, record: StoredRecord): void {
    const target = this.#request.targets[at]
    if (target !== undefined) this.site.repairs.repair(target, this.#request.id, record)
  }

  #unmet(timedOut: boolean): void {
    if (this.answered) return
    const machine = this.#machine
    const { quorum } = this.#request
    this.site.runtime.probe.mark('coordinator.get_unmet')
    this.site.runtime.metrics.count('coordinator_unmet', 1, { kind: 'read' })
    this.reject(unmetRead({ quorum, tally: machine.tally(), errors: machine.errors(), timedOut }))
  }
}
