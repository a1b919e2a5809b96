import { type Content, contextOf, decodeContext } from '@atoll/causality'
import { AtollError, EMPTY_BYTES, type KeyId, Lifecycle, LoopTurns, type Runtime } from '@atoll/core'
import type { BucketProperties } from './bucket-properties.ts'
import { callOptionsOf, type Site } from './call.ts'
import { HintNotes } from './hint-notes.ts'
import { InFlight } from './in-flight.ts'
import { IndexScans } from './index-scans.ts'
import { KeyQuorums } from './key-quorums.ts'
import { KeyReads } from './key-reads.ts'
import { KeyWrites } from './key-writes.ts'
import type {
  DeleteOptions,
  KeyValueStore,
  KvRead,
  KvScan,
  KvScanPage,
  KvWrite,
  KvWritten,
  ReadOptions,
  WriteOptions,
} from './kv.ts'
import type { CoordinatorMeans } from './means.ts'
import { NOTHING_WRITTEN, TOMBSTONE } from './new-write.ts'
import { type CoordinatorOptions, validateCoordinatorOptions } from './options.ts'
import { RecentRecords } from './recent-records.ts'
import { Repairs } from './repairs.ts'
import {
  checkDeleteOptions,
  checkId,
  checkReadOptions,
  checkScan,
  checkWrite,
  checkWriteOptions,
  readBack,
  readPartOf,
  refuseFilters,
} from './request-checks.ts'

const NO_METADATA: ReadonlyMap<string, string> = new Map()
const NO_OPTIONS = {}

/**
 * Reads and writes keys on their replicas with the quorums that the caller or the bucket type asks for. Every node
 * has one, and any of them serves any key. Open it first; `close` waits for what goes on in the background.
 *
 * Errors of every call: `TypeError` and `RangeError` for wrong arguments, `ATOLL_FORMAT` for a type that this node lacks
 * the merge function of, `ATOLL_QUORUM_IMPOSSIBLE` if too few replicas
 * are up to begin, `ATOLL_QUORUM_UNMET` or `ATOLL_TIMEOUT` with the counts in `details`, `ATOLL_ABORTED`,
 * `ATOLL_OVERLOADED` past `maxRequests`. Of a write, `definite` says whether it certainly did not happen.
 */
export class Coordinator extends Lifecycle implements KeyValueStore {
  readonly label: string
  readonly #means: CoordinatorMeans
  readonly #site: Site
  readonly #reads: KeyReads
  readonly #writes: KeyWrites
  readonly #scans: IndexScans
  readonly #turns: LoopTurns
  #isDraining = false
  /** The same store for what was begun above it, which finishes in here behind `drain`, until `close`. */
  readonly inner: KeyValueStore = {
    get: (id, options) => this.#get(id, options),
    put: (id, write, options) => this.#put(id, write, options),
    delete: (id, options) => this.#deleteNow(id, options),
    scan: (scan, options) => this.#scan(scan, options),
    types: () => this.types(),
  }

  constructor(runtime: Runtime, means: CoordinatorMeans, options: CoordinatorOptions = {}) {
    super()
    const settings = validateCoordinatorOptions(options)
    const { node, replicas, liveness } = means
    this.label = `coordinator ${node}`
    this.#means = means
    this.#turns = new LoopTurns(runtime.clock)
    const repairs = new Repairs(runtime, replicas, settings)
    const requests = new InFlight(settings.maxRequests)
    const hints = new HintNotes(runtime, replicas, settings)
    this.#site = { runtime, replicas, liveness, settings, repairs, requests, hints }
    const { sha1 } = runtime.digest
    const recent = new RecentRecords(settings.recentBytes, sha1)
    const parts = { node, site: this.#site, quorums: new KeyQuorums(means, sha1), recent }
    this.#reads = new KeyReads(parts)
    this.#writes = new KeyWrites(parts)
    this.#scans = new IndexScans({ means, site: this.#site, reads: this.#reads })
  }

  async get(id: KeyId, options?: ReadOptions): Promise<KvRead> {
    this.#assertTaking()
    return await this.#get(id, options)
  }

  async put(id: KeyId, write: KvWrite, options?: WriteOptions): Promise<KvWritten> {
    this.#assertTaking()
    return await this.#put(id, write, options)
  }

  async delete(id: KeyId, options?: DeleteOptions): Promise<KvWritten> {
    this.#assertTaking()
    return await this.#deleteNow(id, options)
  }

  async scan(scan: KvScan, options?: ReadOptions): Promise<KvScanPage> {
    this.#assertTaking()
    return await this.#scan(scan, options)
  }

  *types(): IterableIterator<readonly [type: string, policy: string]> {
    for (const [type, { policy }] of this.#means.bucketTypes.entries()) yield [type, policy.kind]
  }

  async #get(id: KeyId, options: ReadOptions = NO_OPTIONS): Promise<KvRead> {
    checkReadOptions(options)
    if (this.#turns.isDue) await this.#turns.next()
    const type = this.#begin(id, 'atoll_coordinator_reads_total')
    const { clock, metrics } = this.#site.runtime
    const startMs = clock.monotonicMs()
    const record = await this.#reads.read(id, type, options)
    metrics.observe('atoll_coordinator_read_ms', clock.monotonicMs() - startMs)
    return this.#reads.visible(type.policy, record)
  }

  async #put(id: KeyId, write: KvWrite, options: WriteOptions = NO_OPTIONS): Promise<KvWritten> {
    checkWriteOptions(options)
    checkWrite(write)
    if (this.#turns.isDue) await this.#turns.next()
    const type = this.#begin(id, 'atoll_coordinator_writes_total')
    const context = readBack('context', write.context, decodeContext)
    const content: Content = {
      value: write.value,
      metadata: write.metadata ?? NO_METADATA,
      tombstone: false,
      expiresAtMs: write.expiresAtMs,
      indexes: write.indexes ?? [],
    }
    const valueCrc32 = write.valueCrc32 ?? this.#site.runtime.digest.crc32(write.value)
    const { ifAlone = false, ifUnchanged, writeId, onReleased } = write
    const asked = { type, content, valueCrc32, context, ifAlone, ifUnchanged, writeId, onReleased }
    return await this.#writes.write(id, asked, options)
  }

  async #deleteNow(id: KeyId, options: DeleteOptions = NO_OPTIONS): Promise<KvWritten> {
    checkDeleteOptions(options)
    if (this.#turns.isDue) await this.#turns.next()
    const type = this.#begin(id, 'atoll_coordinator_deletes_total')
    // Two calls, between which a coordinator that closes must not take itself for idle.
    return await this.#site.requests.run(() => this.#delete(id, type, options))
  }

  async #scan(scan: KvScan, options: ReadOptions = NO_OPTIONS): Promise<KvScanPage> {
    checkReadOptions(options)
    const limit = checkScan(scan)
    if (this.#turns.isDue) await this.#turns.next()
    const type = this.#admit(scan.type, 'atoll_coordinator_scans_total')
    refuseFilters(options)
    return await this.#scans.page(scan, { type, limit }, options)
  }

  /** Resolves when no call is in progress, and none goes on in the background. */
  async idle(): Promise<void> {
    const { requests, repairs } = this.#site
    while (requests.count + repairs.inFlight.count > 0) {
      await requests.idle()
      await repairs.inFlight.idle()
    }
  }

  /** Refuses new calls from now on, but for those through `inner`. What is under way goes on. */
  drain(): void {
    this.#isDraining = true
  }

  protected override onOpen(): Promise<void> {
    this.#isDraining = false
    this.#site.hints.open()
    return Promise.resolve()
  }

  protected override async onClose(): Promise<void> {
    await this.idle()
    this.#site.hints.close()
  }

  #assertTaking(): void {
    if (this.#isDraining) throw new AtollError('ATOLL_CLOSED', `${this.label} is closing`)
  }

  #begin(id: KeyId, metric: string): BucketProperties {
    checkId(id)
    return this.#admit(id.type, metric)
  }

  #admit(typeName: string, metric: string): BucketProperties {
    this.assertOpen()
    const type = this.#means.bucketTypes.forRequest(typeName)
    const { requests, runtime } = this.#site
    if (requests.full) {
      runtime.probe.mark('coordinator.overloaded')
      throw new AtollError(
        'ATOLL_OVERLOADED',
        `${this.label} has ${requests.limit} calls in progress already`,
      )
    }
    runtime.metrics.count(metric)
    return type
  }

  async #delete(id: KeyId, type: BucketProperties, options: DeleteOptions): Promise<KvWritten> {
    const { clock, digest } = this.#site.runtime
    const deadlineMs = clock.monotonicMs() + callOptionsOf(options, this.#site.settings).timeoutMs
    let context = readBack('context', options.context, decodeContext)
    if (context === undefined && type.policy.kind !== 'write-once') {
      const record = await this.#reads.fromQuorum(id, type, readPartOf(options))
      if (record === undefined) return NOTHING_WRITTEN
      context = contextOf(record)
    }
    const timeoutMs = Math.max(1, Math.floor(deadlineMs - clock.monotonicMs()))
    const write = { type, content: TOMBSTONE, valueCrc32: digest.crc32(EMPTY_BYTES), context }
    return await this.#writes.write(id, write, { ...options, timeoutMs })
  }
}
