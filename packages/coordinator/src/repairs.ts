import { copyRecord, recordsEqual, type StoredRecord } from '@atoll/causality'
import { AtollError, type KeyId, type Runtime } from '@atoll/core'
import { InFlight } from './in-flight.ts'
import type { CoordinatorSettings } from './options.ts'
import type { ReplicaCallOptions, Replicas, ReplicaTarget } from './ports.ts'
import { nameOfKey } from './recent-records.ts'

export interface Repair {
  readonly target: ReplicaTarget
  /** What the replica lacks, or a part of it. */
  readonly record: StoredRecord
}

/** A repair on its way. */
interface UnderWay {
  readonly record: StoredRecord
  readonly done: Promise<void>
}

/** Gives replicas that are behind what they lack, each the same once at a time, however many readers find it. */
export class Repairs {
  readonly inFlight: InFlight
  /** By replica and key; as many as are in flight at most. */
  readonly #underWay = new Map<string, UnderWay>()
  readonly #runtime: Pick<Runtime, 'digest' | 'metrics' | 'probe'>
  readonly #replicas: Replicas
  readonly #options: ReplicaCallOptions

  constructor(
    runtime: Pick<Runtime, 'digest' | 'metrics' | 'probe'>,
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
      void this.#repairOnce(id, repair)
      return
    }
    this.#runtime.probe.mark('coordinator.repair_skipped')
    this.#runtime.metrics.count('atoll_coordinator_repairs_skipped_total')
  }

  /** All of them; resolves when the replicas have taken it, or have failed to. Never rejects. */
  async repairAllNow(id: KeyId, repairs: readonly Repair[]): Promise<void> {
    await Promise.all(repairs.map((repair) => this.#repairOnce(id, repair)))
  }

  #repairOnce(id: KeyId, repair: Repair): Promise<void> {
    const { node, partition } = repair.target
    const name = `${node} ${partition} ${nameOfKey(id)}`
    const before = this.#underWay.get(name)
    if (before !== undefined && recordsEqual(before.record, repair.record)) return before.done
    const done = this.#repairNow(id, repair).finally(() => {
      if (this.#underWay.get(name)?.done === done) this.#underWay.delete(name)
    })
    this.#underWay.set(name, { record: repair.record, done })
    return done
  }

  async #repairNow(id: KeyId, { target, record }: Repair): Promise<void> {
    const { metrics, probe } = this.#runtime
    this.inFlight.enter()
    probe.mark('coordinator.repair')
    metrics.count('atoll_coordinator_repairs_total')
    try {
      await this.#replicas.put(target, id, this.#copyOf(record), this.#options)
    } catch {
      metrics.count('atoll_coordinator_repair_failures_total')
    } finally {
      this.inFlight.leave()
    }
  }

  /**
   * The values are those of the reader, who may have changed them since it was answered, and may be done with them
   * before the replica is. So that one gets copies, which are as they were read: a replica of this node, and one of this
   * process, does not look.
   */
  #copyOf(record: StoredRecord): StoredRecord {
    const { crc32 } = this.#runtime.digest
    const copy = copyRecord(record)
    const isSound = copy.siblings.every(
      ({ value, valueCrc32 }) => value.length === 0 || crc32(value) === valueCrc32,
    )
    if (!isSound)
      throw new AtollError('ATOLL_CORRUPT', 'a value was changed by its reader before it was repaired')
    return copy
  }
}
