import {
  type Content,
  contextOf,
  decodeContext,
  encodeContext,
  hasValue,
  type MergePolicy,
  resolve,
  type StoredRecord,
  writeOnceRecord,
} from '@atoll/causality'
import { AtollError, attempt, EMPTY_BYTES, type KeyId, Lifecycle, type Runtime, wrongType } from '@atoll/core'
import { type Placement, type PreferenceEntry, partitionOf } from '@atoll/ring'
import type { BucketProperties } from './bucket-properties.ts'
import type { BucketTypes } from './bucket-types.ts'
import type { CallOptions, Site } from './call.ts'
import { Covers } from './covers.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { GetCall } from './get-call.ts'
import { HintNotes } from './hint-notes.ts'
import { InFlight } from './in-flight.ts'
import type {
  DeleteOptions,
  KeyValueStore,
  KvRead,
  KvScan,
  KvScanPage,
  KvValue,
  KvWrite,
  KvWritten,
  ReadOptions,
  WriteOptions,
} from './kv.ts'
import { Latency } from './latency.ts'
import { NearestCall } from './nearest-call.ts'
import { aloneAt, guarded, type NewWrite, NOTHING_WRITTEN, TOMBSTONE, writeIdOf } from './new-write.ts'
import { type CoordinatorOptions, checkTimeout, validateCoordinatorOptions } from './options.ts'
import { impossible } from './outcome.ts'
import { patiently, READ_AGAIN, WRITE_AGAIN } from './patience.ts'
import type { Liveness, Replicas } from './ports.ts'
import {
  downPrimaries,
  furtherOf,
  isSomeoneAway,
  type NodesInUse,
  nearestFirst,
  nearestOf,
  notAsked,
  type SliceView,
  spareFor,
} from './preference.ts'
import { PutCall } from './put-call.ts'
import type { PutPlan } from './put-machine.ts'
import { among, type ReadQuorum, readQuorum, writeQuorum } from './quorum.ts'
import { readOf } from './read-of.ts'
import { nameOfKey, RecentRecords } from './recent-records.ts'
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
  refuseAccept,
  refuseFilters,
} from './request-checks.ts'
import { ScanCall, type ScanRequest } from './scan-call.ts'
import { areTargets, findTargets, type Needed } from './targets.ts'

export interface CoordinatorMeans {
  /** The name of this node in the ring. */
  readonly node: string
  /**
   * The placement of this moment, asked for by every request, and by a scan whenever a node fails it. The same one as
   * long as nothing changed: it keeps what it has computed.
   */
  readonly placement: () => Placement
  readonly replicas: Replicas
  readonly liveness: Liveness
  readonly bucketTypes: BucketTypes
}

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
  readonly #latency: Latency
  readonly #covers: Covers
  readonly #recent: RecentRecords
  readonly #isUp: (node: string) => boolean
  readonly #sha1: (data: Uint8Array) => Uint8Array
  readonly #crc32: (data: Uint8Array) => number
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
    const repairs = new Repairs(runtime, replicas, settings)
    const requests = new InFlight(settings.maxRequests)
    const hints = new HintNotes(runtime, replicas, settings)
    this.#site = { runtime, replicas, liveness, settings, repairs, requests, hints }
    this.#latency = new Latency(settings)
    this.#covers = new Covers(node)
    this.#isUp = (other) => liveness.isUp(other)
    this.#sha1 = (data) => runtime.digest.sha1(data)
    this.#crc32 = (data) => runtime.digest.crc32(data)
    this.#recent = new RecentRecords(settings.recentBytes, this.#sha1)
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
    const type = this.#begin(id, 'atoll_coordinator_reads_total')
    const { clock, metrics } = this.#site.runtime
    const startMs = clock.monotonicMs()
    const record = await (type.policy.kind === 'write-once'
      ? this.#readNearest(id, type, options)
      : this.#readAll(id, type, options))
    metrics.observe('atoll_coordinator_read_ms', clock.monotonicMs() - startMs)
    return this.#visible(type.policy, record)
  }

  async #put(id: KeyId, write: KvWrite, options: WriteOptions = NO_OPTIONS): Promise<KvWritten> {
    checkWriteOptions(options)
    checkWrite(write)
    const type = this.#begin(id, 'atoll_coordinator_writes_total')
    const context = readBack('context', write.context, decodeContext)
    const content: Content = {
      value: write.value,
      metadata: write.metadata ?? NO_METADATA,
      tombstone: false,
      expiresAtMs: write.expiresAtMs,
      indexes: write.indexes ?? [],
    }
    const valueCrc32 = write.valueCrc32 ?? this.#crc32(write.value)
    const { ifAlone = false, ifUnchanged, writeId, onReleased } = write
    const asked = { type, content, valueCrc32, context, ifAlone, ifUnchanged, writeId, onReleased }
    return await this.#write(id, asked, options)
  }

  async #deleteNow(id: KeyId, options: DeleteOptions = NO_OPTIONS): Promise<KvWritten> {
    checkDeleteOptions(options)
    const type = this.#begin(id, 'atoll_coordinator_deletes_total')
    // Two calls, between which a coordinator that closes must not take itself for idle.
    return await this.#site.requests.run(() => this.#delete(id, type, options))
  }

  async #scan(scan: KvScan, options: ReadOptions = NO_OPTIONS): Promise<KvScanPage> {
    checkReadOptions(options)
    const limit = checkScan(scan)
    const type = this.#admit(scan.type, 'atoll_coordinator_scans_total')
    refuseFilters(options)
    const after = readBack('after', scan.after, decodeCursor)
    const filled = among(this.#means.bucketTypes.filled(scan.type), { type, options })
    const quorums = Array.from({ length: filled.type.n }, (_, at) =>
      readQuorum(filled.type, filled.options, at + 1),
    )
    const { placement } = this.#means
    const cover: ScanRequest['cover'] = (of, { nodes, cause }) => {
      const isUp = (node: string) => this.#isUp(node) && !nodes.has(node)
      return this.#covers.cover({ placement: of, quorums, isUp, cause })
    }
    const { maxScanReads: maxReads } = this.#site.settings
    const read: ScanRequest['read'] = (id, shows, callOptions) =>
      this.#readAll(id, type, { ...options, ...callOptions }, shows)
    const { groups } = scan
    const request = { scan, after, limit, groups, maxReads, placement, cover, read }
    const page = await patiently(
      {
        attempt: (callOptions) => new ScanCall(this.#site, callOptions, request).run(),
        isHopeful: () => this.#covers.isCovered({ placement: placement(), quorums, isUp: this.#isUp }),
        codes: READ_AGAIN,
      },
      { site: this.#site, options: this.#callOptions(options) },
    )
    return { entries: page.entries, next: page.next === undefined ? undefined : encodeCursor(page.next) }
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
    const { clock } = this.#site.runtime
    const deadlineMs = clock.monotonicMs() + this.#callOptions(options).timeoutMs
    let context = readBack('context', options.context, decodeContext)
    if (context === undefined && type.policy.kind !== 'write-once') {
      const record = await this.#readAll(id, type, readPartOf(options))
      if (record === undefined) return NOTHING_WRITTEN
      context = contextOf(record)
    }
    const timeoutMs = Math.max(1, Math.floor(deadlineMs - clock.monotonicMs()))
    const write = { type, content: TOMBSTONE, valueCrc32: this.#crc32(EMPTY_BYTES), context }
    return await this.#write(id, write, { ...options, timeoutMs })
  }

  /** `shows` says whether a record has what is looked for; by default, whether it has a value. */
  #readAll(
    id: KeyId,
    type: BucketProperties,
    options: ReadOptions,
    shows = this.#showing(type, options),
  ): Promise<StoredRecord | undefined> {
    refuseAccept(options)
    const { view, quorum } = this.#reading(id, type, options)
    const { n, r, pr, sloppy, absence } = quorum
    const refusal: Needed['refusal'] = (few, down) => impossible('a read', { n, ...few, r, pr }, down)
    const needed = { sloppy, least: r, primaries: pr, refusal }
    const { policy } = type
    const { repair = false } = options
    const spare = (_: PreferenceEntry, use: NodesInUse) => spareFor(view, use)
    const down = () => downPrimaries(view)
    // What a fallback may have is worth a first attempt; another one is for the primaries' sake.
    const hoped = absence === 'any' ? needed : { ...needed, primaries: Math.max(r, pr) }
    return patiently(
      {
        attempt: async (callOptions) => {
          const targets = findTargets(view, needed)
          const nowMs = this.#site.runtime.clock.monotonicMs()
          const first = nearestOf(targets, { local: this.#means.node, latency: this.#latency, nowMs })
          // What this node alone is asked for takes less to read than to remember. And a replica may remember the digest of
          // a record that has rotted since: a read that repairs looks at what is stored.
          const isAlone = targets.length === 1 && targets[0]?.node === this.#means.node
          const name = isAlone ? undefined : nameOfKey(id)
          const known = name === undefined || repair ? undefined : this.#recent.get(name)
          const means = { spareFor: spare, down, latency: this.#latency }
          const request = { id, targets, quorum, policy, repair, shows, known, first, ...means }
          const record = await new GetCall(this.#site, callOptions, request).run()
          if (name !== undefined && record !== undefined && record !== known?.record)
            this.#recent.read(name, record)
          return record
        },
        isHopeful: () => areTargets(view, hoped),
        codes: READ_AGAIN,
      },
      { site: this.#site, options: this.#callOptions(options) },
    )
  }

  #showing({ policy }: BucketProperties, { shows }: ReadOptions): (record: StoredRecord) => boolean {
    return (record) =>
      shows === undefined
        ? hasValue(policy, record, this.#site.runtime.clock.wallMs())
        : shows(this.#values(policy, record))
  }

  async #readNearest(
    id: KeyId,
    type: BucketProperties,
    options: ReadOptions,
  ): Promise<StoredRecord | undefined> {
    if (options.shows !== undefined) throw wrongType('shows', 'is not for reads of write-once bucket types')
    const { view, quorum } = this.#reading(id, type, options)
    const { n, r, sloppy, absence } = quorum
    const refusal: Needed['refusal'] = (_, down) => impossible('a read', { n, reachable: 0 }, down)
    const needed = { sloppy, least: 1, primaries: 0, refusal }
    const { accept, known = false } = options
    const request = {
      id,
      quorum,
      latency: this.#latency,
      repair: options.repair ?? false,
      known,
      isSomeoneAway: () => sloppy && isSomeoneAway(view),
      accept: (record: StoredRecord) =>
        accept === undefined || this.#values(type.policy, record).every(accept),
      down: () => downPrimaries(view),
    }
    return await patiently(
      {
        attempt: async (callOptions) => {
          const nowMs = this.#site.runtime.clock.monotonicMs()
          const nearness = { local: this.#means.node, latency: this.#latency, nowMs }
          const targets = nearestFirst(findTargets(view, needed), nearness)
          const further = furtherOf(view, targets, { sloppy, known })
          return await new NearestCall(this.#site, callOptions, { ...request, targets, further }).run()
        },
        isHopeful: () => areTargets(view, absence === 'any' ? needed : { ...needed, primaries: r }),
        codes: READ_AGAIN,
      },
      { site: this.#site, options: this.#callOptions(options) },
    )
  }

  async #write(id: KeyId, write: NewWrite, options: WriteOptions): Promise<KvWritten> {
    const { content, valueCrc32, context } = write
    const filled = this.#means.bucketTypes.filled(id.type)
    const { type, options: asked } = among(filled + 1, { type: write.type, options })
    const view = this.#view(id, type)
    const quorum = guarded(writeQuorum(type, asked, view.n), write)
    const seen = quorum.n === view.n ? view : { ...view, n: quorum.n }
    const { n, w, dw, pw } = quorum
    const refusal: Needed['refusal'] = (few, down) => impossible('a write', { n, ...few, w, dw, pw }, down)
    const needed = { sloppy: quorum.sloppy, least: Math.max(w, dw), primaries: pw, refusal }
    const { clock, metrics, random } = this.#site.runtime
    const startMs = clock.monotonicMs()
    const writeId = writeIdOf(write, random)
    const finished = type.policy.kind === 'write-once'
    const { node: local } = this.#means
    const record = finished ? writeOnceRecord(content, valueCrc32, writeId) : undefined
    const coordinated = finished ? undefined : { content, valueCrc32, context, writeId }
    const alone = finished ? undefined : aloneAt(write, n, () => this.#readSize(id, type, seen))
    const isGuarded = !finished && write.ifUnchanged !== undefined
    const newcomer = this.#newcomer(seen, filled, { type, options: asked })
    const spare = (_: PreferenceEntry, use: NodesInUse) => spareFor(seen, use)
    const written = await patiently(
      {
        attempt: (callOptions) => {
          const targets = findTargets(seen, needed)
          const absent = () => notAsked(seen, targets)
          // Where others stand in for all of them, those keep the write for all.
          const hintFor = targets.length < n ? absent() : undefined
          return new PutCall(this.#site, callOptions, {
            id,
            targets,
            quorum,
            local,
            record,
            write: coordinated,
            aloneAt: alone,
            guarded: isGuarded,
            newcomer,
            spareFor: spare,
            hintFor,
            notAsked: absent,
            onReleased: write.onReleased,
          }).run()
        },
        isHopeful: () => areTargets(seen, needed),
        codes: WRITE_AGAIN,
      },
      { site: this.#site, options: this.#callOptions(options) },
    )
    metrics.observe('atoll_coordinator_write_ms', clock.monotonicMs() - startMs)
    if (written === undefined) return NOTHING_WRITTEN
    if (!finished) this.#recent.written(nameOfKey(id), written.record)
    const { accepted, durable, primaries } = written.tally
    const covering = finished ? undefined : encodeContext(contextOf(written.record))
    return { accepted, durable, primaries, context: covering, alone: written.alone }
  }

  /** Behind those that are filled. */
  #newcomer(
    { placement, slice, n }: SliceView,
    filled: number,
    request: { readonly type: BucketProperties; readonly options: WriteOptions },
  ): PutPlan['newcomer'] {
    const node = n > filled ? placement.primaries(slice, n)[filled]?.node : undefined
    if (node === undefined) return undefined
    const { type, options } = among(filled, request)
    return { node, others: writeQuorum(type, options, filled) }
  }

  #reading(id: KeyId, asked: BucketProperties, wanted: ReadOptions): { view: SliceView; quorum: ReadQuorum } {
    const { type, options } = among(this.#means.bucketTypes.filled(id.type), { type: asked, options: wanted })
    const view = this.#view(id, type)
    const quorum = readQuorum(type, options, view.n)
    return { view: quorum.n === view.n ? view : { ...view, n: quorum.n }, quorum }
  }

  /** How many replicas a read of n of a slice has to hear. */
  #readSize({ type: name }: KeyId, asked: BucketProperties, { placement, slice, n }: SliceView): number {
    const filled = this.#means.bucketTypes.filled(name)
    const { type, options } = among(filled, { type: asked, options: { n } })
    return readQuorum(type, options, placement.primaries(slice, type.n).length).r
  }

  /** n is that of the type, or the number of nodes where these are fewer. */
  #view(id: KeyId, type: BucketProperties): SliceView {
    const placement = this.#means.placement()
    const slice = partitionOf(id, placement.ring.partitions, this.#sha1)
    return { placement, slice, n: placement.primaries(slice, type.n).length, isUp: this.#isUp }
  }

  #callOptions({ timeoutMs, signal }: Partial<CallOptions>): CallOptions {
    const longestMs = timeoutMs === undefined ? this.#site.settings.timeoutMs : checkTimeout(timeoutMs)
    return { timeoutMs: longestMs, signal }
  }

  #visible(policy: MergePolicy, record: StoredRecord | undefined): KvRead {
    if (record === undefined) return { values: [], context: undefined }
    return readOf(record, this.#values(policy, record))
  }

  #values(policy: MergePolicy, record: StoredRecord): readonly KvValue[] {
    const { runtime } = this.#site
    const means = { wallMs: runtime.clock.wallMs(), crc32: this.#crc32 }
    // What a user's function cannot merge is shown as it is: siblings, of which nothing is lost.
    const resolved =
      policy.kind === 'merge'
        ? (attempt(runtime, 'merge', () => resolve(policy, record, means)) ??
          resolve({ kind: 'siblings' }, record, means))
        : resolve(policy, record, means)
    return resolved.values.map(({ value, valueCrc32, metadata }) => ({
      value,
      valueCrc32,
      metadata,
    }))
  }
}
