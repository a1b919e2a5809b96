import type { StoredRecord } from '@atoll/causality'
import type { KeyId, Runtime } from '@atoll/core'
import { InFlight } from './in-flight.ts'
import type { CoordinatorSettings } from './options.ts'
import type { ReplicaCallOptions, Replicas, ReplicaTarget } from './ports.ts'

/** Gives replicas that are behind what they lack: in the background, acknowledged, and only so many at once. */
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

  repair(target: ReplicaTarget, id: KeyId, record: StoredRecord): void {
    const { metrics, probe } = this.#runtime
    if (this.inFlight.full) {
      probe.mark('coordinator.repair_skipped')
      metrics.count('coordinator_repairs_skipped')
      return
    }
    this.inFlight.enter()
    probe.mark('coordinator.repair')
    metrics.count('coordinator_repairs')
    this.#replicas.put(target, id, record, this.#options).then(
      () => this.inFlight.leave(),
      () => {
        metrics.count('coordinator_repairs_failed')
        this.inFlight.leave()
      },
    )
  }
}
