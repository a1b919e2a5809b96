import { checkIndexEntries, type MergePolicy } from '@atoll/causality'
import {
  Admission,
  AtollError,
  checkInteger,
  checkKeyId,
  isAtollError,
  type KeyId,
  Lifecycle,
  type Runtime,
  wrongRange,
} from '@atoll/core'
import { checkPartitions, partitionOf } from '@atoll/ring'
import { ClockWatch } from './clock-watch.ts'
import { Counters } from './counters.ts'
import type { Counts } from './counts.ts'
import { openDatabase } from './database.ts'
import { type Derivation, derivationsOf, type Indexing } from './derivation.ts'
import { type FoldItem, foldRecords } from './fold.ts'
import { FormatNotes } from './format-notes.ts'
import { Gates } from './gates.ts'
import { GuardedDatabase, guardDatabase } from './guarded-database.ts'
import { HandoffVnode } from './handoff-vnode.ts'
import { HeadDigests } from './head-digests.ts'
import { HeldPartitions } from './held-partitions.ts'
import type { HintPlace } from './hint-layout.ts'
import { Hints } from './hints.ts'
import type { VnodeHostParts } from './host-parts.ts'
import { type Lineage, newLineage } from './incarnation.ts'
import { VnodeLayout } from './layout.ts'
import { Mirrors } from './mirrors.ts'
import { OlderFormats } from './older-formats.ts'
import { type VnodeHostOptions, validateVnodeHostOptions } from './options.ts'
import type { Database } from './ports.ts'
import type {
  CoordinateReply,
  CoordinateRequest,
  GetReply,
  GetRequest,
  HintRequest,
  OnDecided,
  PutReply,
  PutRequest,
  ScanReply,
  ScanRequest,
} from './protocol.ts'
import { RecordReader } from './record-reader.ts'
import { Recounter } from './recount.ts'
import { refile } from './refile.ts'
import { checkScan } from './requests.ts'
import { scanIndexes } from './scan.ts'
import type { Crc32 } from './seal.ts'
import { Serving } from './serving.ts'
import { sharedParts } from './shared-parts.ts'
import { StorageHealth, type StorageState } from './storage-health.ts'
import type { StoredCounts } from './tallies.ts'
import type { Vnode, VnodeParts } from './vnode.ts'
import { Vnodes } from './vnodes.ts'

/**
 * The vnodes of one node, on one database. Any partition of the ring may be asked: a vnode exists from its first write.
 *
 * Everything is checked when read. A write is answered when it is on disk; `ATOLL_STORAGE` says that the database
 * failed, and `ATOLL_OVERLOADED` that too much is under way.
 */
export class VnodeHost extends Lifecycle {
  readonly label: string
  /** Which vnodes are on their way to other nodes. */
  readonly gates: Gates
  /** Nodes that get what is written here as well. */
  readonly mirrors = new Mirrors((partition, node) => void this.owe({ partition, node }))
  /** What other holders missed, because they could not be reached. */
  readonly hints: Hints
  /** In which line of lives the database is, asked when a vnode gives its first dot. */
  readonly lineage: () => Lineage
  /** What is written together with every change of a record, removals among them. */
  readonly derivations: readonly Derivation[]
  readonly #runtime: Runtime
  readonly #parts: VnodeHostParts
  readonly #database: Database
  readonly #options: Required<VnodeHostOptions>
  readonly #vnodes: Vnodes
  readonly #reader: RecordReader
  readonly #digests: HeadDigests
  readonly #shared: VnodeParts
  #filed: number
  /** What it shall be, while records are being filed anew. */
  #wanted: number
  readonly #serving = new Serving()
  readonly #admission: Admission
  readonly #health: StorageHealth
  readonly #clocks: ClockWatch
  readonly #older: OlderFormats
  /** Partitions of which heads may lie where builds before have put them. */
  readonly #olderHeads = new Set<number>()
  readonly #indexing: Indexing
  readonly #counters: Counters
  readonly #recounter: Recounter
  readonly #held: HeldPartitions
  readonly #format: FormatNotes

  /** Throws `TypeError` or `RangeError` for invalid options. */
  constructor(runtime: Runtime, parts: VnodeHostParts, options: VnodeHostOptions) {
    super()
    this.#options = validateVnodeHostOptions(options)
    this.#filed = this.#options.partitions
    this.#wanted = this.#filed
    this.label = `vnode host ${options.node}`
    this.#runtime = runtime
    this.#parts = parts
    this.lineage = parts.lineage ?? (() => newLineage(runtime.random))
    const database = guardDatabase(parts.database, { runtime })
    this.#database = database
    const olderHeads = this.#olderHeads
    this.#reader = new RecordReader(runtime, database, olderHeads)
    this.#digests = new HeadDigests(this.#options.headDigests)
    this.#admission = new Admission(this.#options)
    this.gates = new Gates(runtime.clock)
    this.#clocks = new ClockWatch(runtime)
    this.hints = new Hints({ runtime, database, maxKeys: this.#options.hintKeys })
    this.#health = new StorageHealth({
      ...runtime,
      hasRoom: () => database.hasRoom?.() ?? true,
      tryWrite: () => this.#shared.committer.tryWrite(),
    })
    if (database instanceof GuardedDatabase) {
      const failed = (cause: unknown) => this.#health.failed(cause)
      const reopened = () => {
        this.#digests.clear()
        this.#health.tryNow()
      }
      database.watcher = { failed, reopened }
    }
    const vnode = (partition: number) => this.#vnode(partition)
    const { crc32, sha1 } = runtime.digest
    const format = () => ({ node: this.node, partitions: this.#wanted })
    this.#format = new FormatNotes({ database, crc32, format })
    this.#older = new OlderFormats({
      ...{ runtime, database, reader: this.#reader, olderHeads, vnode },
      note: (change) => this.#format.note(change),
      onConverted: () => this.#recounter.look(),
    })
    this.#indexing = { crc32, sha1, sliceOf: (id) => partitionOf(id, this.#wanted, sha1) }
    this.derivations = derivationsOf({ indexing: this.#indexing, ownIndexes: this.#older.ownIndexes })
    this.#counters = new Counters({ runtime, database, onUnknown: () => this.#recounter.look() })
    const counted = { runtime, database, counters: this.#counters, older: this.#older, vnode }
    this.#recounter = new Recounter(counted)
    this.#shared = this.#shareParts()
    this.#vnodes = new Vnodes({ shared: this.#shared, gates: this.gates, admission: this.#admission })
    const { holdings } = this.#shared
    this.#held = new HeldPartitions({ ...counted, holdings, olderHeads })
  }

  /** The node that the vnodes belong to. */
  get node(): string {
    return this.#options.node
  }

  /** How many partitions the ring has by which the records are filed, which is what numbers of partitions refer to here. */
  get filed(): number {
    return this.#filed
  }

  get runtime(): Runtime {
    return this.#runtime
  }

  /** Bytes of the entries of one page of a scan, at most. */
  get scanBytes(): number {
    return this.#options.scanBytes
  }

  /** How records of a bucket type are merged. */
  policyOf(type: string): MergePolicy {
    return this.#parts.policyOf(type)
  }

  /** How the database takes writes. */
  get storage(): StorageState {
    return this.#health.state
  }

  /** Resolves when what a build before has written is as this one writes it; at once if it is already. */
  get converted(): Promise<void> {
    return this.#older.settled
  }

  /** What is stored here, in all vnodes together. */
  get stored(): StoredCounts {
    return this.#counters.sum()
  }

  /**
   * Resolves when all records are counted, which those of a build that kept no counts are in the background, behind their
   * conversion.
   */
  get counted(): Promise<void> {
    return this.converted.then(() => this.#recounter.settled())
  }

  /** The checksum of values, as this node computes it. */
  get crc32(): Crc32 {
    return this.#runtime.digest.crc32
  }

  /** Answers what is durable; a corrupt record is answered as such, and never thrown. */
  async get({ partition, id, digestOnly }: GetRequest): Promise<GetReply> {
    const vnode = this.#vnode(partition, id)
    this.#serving.enter()
    try {
      return await (digestOnly ? vnode.digest(id) : vnode.get(id))
    } finally {
      this.#serving.leave()
    }
  }

  /** Merges a record; `onAccepted` is called when it is queued for the next batch. */
  async put(
    request: PutRequest,
    options: { readonly onAccepted?: (() => void) | undefined } = {},
  ): Promise<PutReply> {
    const vnode = this.#vnode(request.partition, request.id)
    const bytes = request.record.siblings.reduce((sum, { value }) => sum + value.length, 0)
    this.#enter(bytes)
    try {
      return await vnode.put(request, options.onAccepted)
    } catch (error) {
      return this.#missed(error)
    } finally {
      this.#leave(bytes)
    }
  }

  /** A write that is served, and bounded with all others. */
  #enter(bytes: number): void {
    this.#serving.assert()
    this.#admission.enter(bytes)
    this.#serving.enter()
  }

  #leave(bytes: number): void {
    this.#admission.leave(bytes)
    this.#serving.leave()
  }

  /** Other nodes may hold what this one could not take. */
  #missed(error: unknown): never {
    if (isAtollError(error, 'ATOLL_STORAGE') || isAtollError(error, 'ATOLL_DISK_FULL')) this.#health.missed()
    throw error
  }

  /** Gives a client's write its dot, which is not given again whatever becomes of its batch: see `Lineage`. */
  async coordinate(request: CoordinateRequest, onDecided?: OnDecided): Promise<CoordinateReply> {
    const vnode = this.#vnode(request.partition, request.id)
    checkIndexEntries(request.content.indexes)
    const bytes = request.content.value.length
    this.#enter(bytes)
    try {
      return await vnode.coordinate(request, onDecided)
    } finally {
      this.#leave(bytes)
    }
  }

  /** Notes that other holders miss the record of a key. */
  async hint({ partition, id, hintFor }: HintRequest): Promise<void> {
    const vnode = this.#vnode(partition, id)
    return this.#serving.run(() => this.#admission.run(0, () => vnode.hint(id, hintFor)))
  }

  /**
   * Notes that another holder may lack anything of a partition: it is owed all of it. Where that cannot be written it is
   * known as long as the node runs.
   */
  async owe({ partition, node }: HintPlace): Promise<void> {
    try {
      await this.#serving.run(() => this.#vnode(partition).owe(node))
    } catch (error) {
      const { log, metrics } = this.#runtime
      log.warn({ partition, node, err: error }, 'that a holder is owed a partition could not be noted')
      metrics.count('atoll_coordinator_hints_lost_total')
    }
  }

  /** A page ends at `limit` entries or at `scanBytes`, whichever comes first: `done` says whether it is the last. */
  async scan(
    request: ScanRequest,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ScanReply> {
    this.assertOpen()
    checkScan(request, this.#filed)
    const { sha1, crc32 } = this.#runtime.digest
    const parts = {
      database: this.#database,
      reader: this.#reader,
      filed: this.#filed,
      hasOwn: (partition: number) => this.#older.ownIndexes.has(partition),
      scanBytes: this.#options.scanBytes,
      crc32,
      sha1,
      signal: options.signal,
    }
    return this.#serving.run(() => scanIndexes(request, parts))
  }

  /** Every sound record of a partition, from a snapshot taken at the first step. */
  fold(
    partition: number,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncIterable<FoldItem> {
    const layout = this.#layout(partition)
    const hasOlder = this.#olderHeads.has(partition)
    const parts = { database: this.#database, reader: this.#reader, hasOlder, signal: options.signal }
    return foldRecords(layout, parts)
  }

  /**
   * The partitions that hold records, ascending. Looks at those alone of which no record is counted: of one that is named
   * nothing may be left, if its count is wrong. None is left out that holds any.
   */
  async partitions(): Promise<number[]> {
    this.assertOpen()
    return this.#held.among(this.#filed)
  }

  /** Whether a partition holds records, as the disk says. Counts that say otherwise are forgotten, and counted anew. */
  async holds(partition: number): Promise<boolean> {
    return this.#held.holds(this.#layout(partition))
  }

  /** Whether a partition holds records of a bucket type. */
  async holdsType(partition: number, type: string): Promise<boolean> {
    return this.#held.holdsType(this.#layout(partition), type)
  }

  /** How many records a partition holds, tombstones included. Reads all of its keys. */
  async count(partition: number): Promise<number> {
    return this.#held.count(this.#layout(partition))
  }

  /** What a partition holds, by bucket type; undefined while it is being counted. Reads nothing. */
  countsOf(partition: number): ReadonlyMap<string, Counts> | undefined {
    return this.#counters.of(this.#layout(partition).partition)
  }

  /** Deletes a partition with its indexes. Writes to it are refused meanwhile; thereafter it is a new vnode. */
  async drop(partition: number): Promise<void> {
    this.#checkServed(partition)
    return this.#vnodes.drop(partition)
  }

  /** Every vnode is a new actor from now on: another life of this data may have given dots that nobody here knows. */
  renewActors(): void {
    this.#vnodes.renew()
  }

  /** A vnode as those see it who move its records to other nodes. */
  handoffOf(partition: number): HandoffVnode {
    this.#serving.assert()
    const parts = { ...this.#shared, admission: this.#admission }
    const filed = this.#filed
    const vnode = () => {
      // By another ring it is another vnode.
      if (filed !== this.#filed) throw new AtollError('ATOLL_UNREACHABLE', `partition ${partition} was split`)
      return this.#vnode(partition)
    }
    return new HandoffVnode(partition, vnode, parts)
  }

  /**
   * Files all records by the partitions of a ring that has got more of them. Nothing is served meanwhile: every request
   * fails at once with `ATOLL_UNREACHABLE`. What was interrupted, by a failure too, goes on at the next call or at the
   * next open. Throws `RangeError` for fewer partitions than now, `ATOLL_CHANGE_REFUSED` while a partition is handed
   * over, `ATOLL_STORAGE`.
   */
  async refile(
    partitions: number,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    this.assertOpen()
    if (checkPartitions(partitions) < this.#filed)
      throw wrongRange('partitions', `must be ${this.#filed} at least, got ${partitions}`)
    if (partitions === this.#filed) return
    if (this.gates.all().size > 0)
      throw new AtollError('ATOLL_CHANGE_REFUSED', 'a partition is being handed over', { transient: true })
    await this.#serving.pause(() => this.#refile(partitions, options.signal))
  }

  async #refile(partitions: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#vnodes.idle()
    this.#counters.abandonRecounts()
    const before = this.#filed
    await this.#refileAll(partitions, signal)
    this.mirrors.split(before, partitions)
    this.#vnodes.clear()
    this.#digests.clear()
    this.#shared.holdings.clear()
    this.gates.clear()
  }

  async #refileAll(partitions: number, signal?: AbortSignal): Promise<void> {
    this.#wanted = partitions
    await this.#format.note({ filedByKey: false })
    await this.hints.refile(partitions)
    await refile({ ...this.#shared, derivations: this.derivations, partitions, signal })
    await this.#vnodes.forgetTransfers(partitions)
    await this.#format.note({ filedByKey: true })
    this.#filed = partitions
    await this.hints.load(partitions)
  }

  /** What is on its way to other nodes goes by these numbers: the records stay filed so until it is over. */
  async #resumeTransfers(partitions: number): Promise<void> {
    await this.#vnodes.resume(partitions)
    if (this.gates.all().size === 0) return
    this.#wanted = partitions
    this.#filed = partitions
  }

  protected async onOpen(): Promise<void> {
    await openDatabase(this.#database)
    this.#health.open()
    this.#clocks.open()
    const found = await this.#format.claim()
    if (found.filedByKey) await this.#resumeTransfers(found.partitions)
    const partitions = this.#wanted
    await this.#older.load(found, partitions)
    await this.#counters.load(partitions)
    if (found.filedByKey && found.partitions === partitions) await this.hints.load(partitions)
    else await this.#refileAll(partitions)
    this.#serving.resume()
    this.#older.start()
    this.#recounter.start()
  }

  protected async onClose(): Promise<void> {
    await this.#older.stop()
    await this.#recounter.stop()
    await this.#serving.ended()
    await this.#vnodes.idle()
    await this.#health.close()
    this.#vnodes.clear()
    this.#digests.clear()
    this.#shared.holdings.clear()
    this.gates.clear()
    this.mirrors.clear()
    this.hints.clear()
    try {
      await this.#parts.beforeClose?.({ isSound: !this.#health.hasFailed })
    } finally {
      await this.#database.close()
    }
  }

  #shareParts(): VnodeParts {
    return sharedParts({
      runtime: this.#runtime,
      database: this.#database,
      options: this.#options,
      reader: this.#reader,
      digests: this.#digests,
      hints: this.hints,
      clocks: this.#clocks,
      counters: this.#counters,
      derivations: () => this.derivations,
      indexing: this.#indexing,
      ownIndexes: this.#older.ownIndexes,
      olderHeads: this.#olderHeads,
      policyOf: this.#parts.policyOf,
      lineage: () => (this.#health.hasFailed ? { ...this.lineage(), continues: false } : this.lineage()),
      reload: () => this.#counters.load(this.#wanted),
      onDone: () => this.#health.succeeded(),
      onFailed: (cause) => {
        this.#health.failed(cause)
        this.#counters.abandonRecounts()
        this.renewActors()
      },
    })
  }

  #layout(partition: number): VnodeLayout {
    this.assertOpen()
    checkInteger('partition', partition, { min: 0, max: this.#filed - 1 })
    return new VnodeLayout(partition)
  }

  #vnode(partition: number, id?: KeyId): Vnode {
    this.#checkServed(partition)
    if (id !== undefined) checkKeyId(id)
    return this.#vnodes.of(partition)
  }

  #checkServed(partition: number): void {
    this.assertOpen()
    this.#serving.assert()
    checkInteger('partition', partition, { min: 0, max: this.#filed - 1 })
  }
}
