import type { Runtime } from '@atoll/core'
import type { HandoffKind } from './protocol.ts'

export interface HandoffStatus {
  readonly kind: HandoffKind
  readonly direction: 'out' | 'in'
  readonly partition: number
  readonly from: string
  /** The node that gets the records; empty for a refill that chooses one for each record. */
  readonly to: string
  readonly phase: HandoffPhase
  /** Sent, or taken, since `startedMs`. */
  readonly records: number
  readonly bytes: number
  /** Looked at, and found to be there already. */
  readonly skipped: number
  /** By the monotonic clock of this node. */
  readonly startedMs: number
}

/** `waiting`: for a slot, or for the end of the pause after a failure. */
export type HandoffPhase =
  | 'waiting'
  | 'copying'
  | 'catching-up'
  | 'sealing'
  | 'sealed'
  | 'giving-back'
  | 'refilling'
  | 'receiving'

export interface JobIdentity {
  readonly kind: HandoffKind
  readonly direction: 'out' | 'in'
  readonly partition: number
  readonly from: string
  readonly to: string
}

/** One handoff under way, and how far it is. */
export class Job {
  phase: HandoffPhase = 'waiting'
  records = 0
  bytes = 0
  skipped = 0
  lastMs: number
  readonly identity: JobIdentity
  readonly #runtime: Runtime
  readonly #startedMs: number

  constructor(runtime: Runtime, identity: JobIdentity) {
    this.identity = identity
    this.#runtime = runtime
    this.#startedMs = runtime.clock.monotonicMs()
    this.lastMs = this.#startedMs
  }

  get status(): HandoffStatus {
    const { phase, records, bytes, skipped } = this
    return { ...this.identity, phase, records, bytes, skipped, startedMs: this.#startedMs }
  }

  /** Counts records that have moved. */
  moved(records: number, bytes: number): void {
    const { kind, direction } = this.identity
    if (this.records === 0 && records > 0) this.#runtime.log.info(this.#named(), 'a handoff begins')
    this.records += records
    this.bytes += bytes
    this.#runtime.metrics.count('atoll_handoff_records_total', records, { kind, direction })
    this.#runtime.metrics.count('atoll_handoff_bytes_total', bytes, { kind, direction })
  }

  failed(code: string): void {
    this.#runtime.metrics.count('atoll_handoff_failures_total', 1, { code })
    this.#runtime.log.info({ ...this.#named(), code }, 'a handoff has failed')
  }

  /** Of one that had nothing to move nobody needs to read. */
  end(): void {
    const { records, bytes, skipped } = this
    if (records + skipped === 0) return
    const tookMs = this.#runtime.clock.monotonicMs() - this.#startedMs
    this.#runtime.log.info({ ...this.#named(), records, bytes, skipped, tookMs }, 'a handoff is done')
  }

  #named(): Record<string, unknown> {
    const { to, ...rest } = this.identity
    return to === '' ? rest : { ...rest, to }
  }
}
