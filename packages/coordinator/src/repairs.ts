import type { StoredRecord } from '@atoll/causality'
import type { KeyId, Runtime } from '@atoll/core'
import { InFlight } from './in-flight.ts'
import type { CoordinatorSettings } from './options.ts'
import type { ReplicaCallOptions, Replicas, ReplicaTarget } from './ports.ts'

export interface Repair {
  readonly target: ReplicaTarget
  /** What the replica lacks, or a part of it. */
  readonly record: StoredRecord
}

/** Gives replicas that are behind what they lack. */
export class Repairs {
  readonly inFlight: InFlight
  readonly #runtime: Pick<Runtime, 'metrics' | 'probe'>
  readonly #replicas: Replicas
  readonly #options: ReplicaCallOptions

  constructor(
    runtime: Pick<Runtime, 'metrics' | 'probe'>,
    replicas: Replicas,
    settings: Pick<CoordinatorSettings, 'maxRepairs' | 'timeoutMs'>,
  ) {
    this.inFlight = new InFlight(settings.maxRepairs)
    this.#runtime = runtime
    this.#replicas = replicas
    this.#options = { timeoutMs: settings.timeoutMs }
  }

  /** In the background, acknowledged, and only so many at once: one too many is left to the next read. */
  repair(id: KeyId, repair: Repair): void {
    if (!this.inFlight.full) {
      void this.#repairNow(id, repair)
      return
    }
    this.#runtime.probe.mark('coordinator.repair_skipped')
    this.#runtime.metrics.count('coordinator_repairs_skipped')
  }

  /** All of them; resolves when the replicas have taken it, or have failed to. Never rejects. */
  async repairAllNow(id: KeyId, repairs: readonly Repair[]): Promise<void> {
    await Promise.all(repairs.map((repair) => this.#repairNow(id, repair)))
  }

  async #repairNow(id: KeyId, { target, record }: Repair): Promise<void> {
    const { metrics, probe } = this.#runtime
    this.inFlight.enter()
    probe.mark('coordinator.repair')
    metrics.count('coordinator_repairs')
    try {
      await this.#replicas.put(target, id, record, this.#options)
    } catch {
      metrics.count('coordinator_repairs_failed')
    } finally {
      this.inFlight.leave()
    }
  }
}
