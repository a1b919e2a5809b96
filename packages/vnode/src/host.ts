import type { MergePolicy } from '@atoll/causality'
import { checkInteger, type KeyId, Lifecycle, type Runtime } from '@atoll/core'
import { Admission } from './admission.ts'
import { Committer } from './committer.ts'
import { claimDatabase, hasKeys, noteFormat, openDatabase } from './database.ts'
import { estimateBytes } from './estimate.ts'
import { countKeys, type FoldItem, foldRecords } from './fold.ts'
import { Gates } from './gates.ts'
import { HandoffVnode } from './handoff/handoff-vnode.ts'
import { Holdings } from './holdings.ts'
import { KeyOrder } from './key-order.ts'
import { VnodeLayout } from './layout.ts'
import { Mirrors } from './mirrors.ts'
import { type VnodeHostOptions, validateVnodeHostOptions } from './options.ts'
import type { Database } from './ports.ts'
import type {
  CoordinateReply,
  CoordinateRequest,
  GetReply,
  GetRequest,
  PutReply,
  PutRequest,
  ScanReply,
  ScanRequest,
} from './protocol.ts'
import { RecordReader } from './record-reader.ts'
import { refile } from './refile.ts'
import { checkKeyId, checkScan } from './requests.ts'
import { scanIndexes } from './scan.ts'
import type { Crc32 } from './seal.ts'
import { Vnode, type VnodeParts } from './vnode.ts'

export interface VnodeHostParts {
  /** Opened and closed by the host. It may hold other sublevels beside, written after the host was opened. */
  readonly database: Database
  /** Asked on every request: the answer may change while the host runs. */
  readonly policyOf: (type: string) => MergePolicy
}

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
  readonly mirrors = new Mirrors()
  readonly #runtime: Runtime
  readonly #parts: VnodeHostParts
  readonly #options: Required<VnodeHostOptions>
  readonly #vnodes = new Map<number, Vnode>()
  readonly #drops = new Map<number, Promise<void>>()
  readonly #reader: RecordReader
  readonly #shared: VnodeParts
  readonly #admission: Admission

  /** Throws `TypeError` or `RangeError` for options that cannot be. */
  constructor(runtime: Runtime, parts: VnodeHostParts, options: VnodeHostOptions) {
    super()
    this.#options = validateVnodeHostOptions(options)
    this.label = `vnode host ${options.node}`
    this.#runtime = runtime
    this.#parts = parts
    this.#reader = new RecordReader(runtime, parts.database)
    this.#admission = new Admission(this.#options)
    this.gates = new Gates(runtime.clock)
    this.#shared = this.#shareParts()
  }

  /** The node that the vnodes belong to. */
  get node(): string {
    return this.#options.node
  }

  get runtime(): Runtime {
    return this.#runtime
  }

  /** Bytes of the entries of one page of a scan, at most. */
  get scanBytes(): number {
    return this.#options.scanBytes
  }

  /** The checksum of values, as this node computes it. */
  get crc32(): Crc32 {
    return this.#runtime.digest.crc32
  }

  /** Answers what is durable; a corrupt record is answered as such, and never thrown. */
  async get({ partition, id }: GetRequest): Promise<GetReply> {
    return this.#vnode(partition, id).get(id)
  }

  /** Merges a record; `onAccepted` is called when it is queued for the next batch. */
  async put(
    request: PutRequest,
    options: { readonly onAccepted?: (() => void) | undefined } = {},
  ): Promise<PutReply> {
    const vnode = this.#vnode(request.partition, request.id)
    const bytes = request.record.siblings.reduce((sum, { value }) => sum + value.length, 0)
    return this.#admission.run(bytes, () => vnode.put(request, options.onAccepted))
  }

  /** Gives a client's write its dot. */
  async coordinate(request: CoordinateRequest): Promise<CoordinateReply> {
    const vnode = this.#vnode(request.partition, request.id)
    return this.#admission.run(request.content.value.length, () => vnode.coordinate(request))
  }

  /** A page ends at `limit` entries or at `scanBytes`, whichever comes first: `done` says whether it is the last. */
  async scan(
    request: ScanRequest,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ScanReply> {
    this.assertOpen()
    checkScan(request, this.#options.partitions)
    const { database } = this.#parts
    const { scanBytes } = this.#options
    const parts = { database, reader: this.#reader, crc32: this.crc32, scanBytes, signal: options.signal }
    return scanIndexes(request, parts)
  }

  /** Every sound record of a partition, from a snapshot taken at the first step. */
  fold(
    partition: number,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncIterable<FoldItem> {
    const layout = this.#layout(partition)
    const { database } = this.#parts
    return foldRecords(layout, { database, reader: this.#reader, signal: options.signal })
  }

  /** The partitions that hold records, ascending. */
  async partitions(): Promise<number[]> {
    const held: number[] = []
    for (let partition = 0; partition < this.#options.partitions; partition++) {
      const look = () => hasKeys(this.#parts.database, this.#layout(partition).dataRange)
      if (await this.#shared.holdings.has(partition, look)) held.push(partition)
    }
    return held
  }

  /** Whether a partition holds records of a bucket type. */
  async holdsType(partition: number, type: string): Promise<boolean> {
    return hasKeys(this.#parts.database, this.#layout(partition).typeRange(type))
  }

  /** How many records a partition holds, tombstones included. Reads all of its keys. */
  async count(partition: number): Promise<number> {
    return countKeys(this.#parts.database, this.#layout(partition).dataRange)
  }

  /** About how many bytes the records of a partition have: its keys are counted, and some of its records looked at. */
  async estimateBytes(partition: number): Promise<number> {
    return estimateBytes(this.#parts.database, this.#layout(partition))
  }

  /** Deletes a partition with its indexes. Writes to it are refused meanwhile; thereafter it is a new vnode. */
  async drop(partition: number): Promise<void> {
    const vnode = this.#vnode(partition)
    const drop =
      this.#drops.get(partition) ??
      vnode.drop().finally(() => {
        this.#vnodes.delete(partition)
        this.#drops.delete(partition)
      })
    this.#drops.set(partition, drop)
    return drop
  }

  /** A vnode as those see it who move its records to other nodes. */
  handoffOf(partition: number): HandoffVnode {
    const parts = { ...this.#shared, admission: this.#admission }
    return new HandoffVnode(partition, () => this.#vnode(partition), parts)
  }

  protected async onOpen(): Promise<void> {
    const { node, partitions } = this.#options
    const { database } = this.#parts
    await openDatabase(database)
    if (!(await claimDatabase(database, { node, partitions }, this.crc32))) {
      await refile({ runtime: this.#runtime, database, reader: this.#reader, partitions })
      await noteFormat(database, { node, partitions }, this.crc32)
    }
    await Promise.all(Array.from({ length: partitions }, (_, partition) => this.#resume(partition)))
  }

  protected async onClose(): Promise<void> {
    const underWay = [...this.#vnodes.values()].map((vnode) => vnode.idle())
    await Promise.allSettled([...underWay, ...this.#drops.values()])
    this.#vnodes.clear()
    this.#shared.holdings.clear()
    this.gates.clear()
    this.mirrors.clear()
    await this.#parts.database.close()
  }

  /** A vnode that was being handed over, or was already, is served as such from the first request on. */
  async #resume(partition: number): Promise<void> {
    const parts = { ...this.#shared, admission: this.#admission }
    const vnode = new Vnode(partition, this.#shared)
    const note = await new HandoffVnode(partition, () => vnode, parts).readTransfer()
    if (note === undefined) return
    vnode.startNoting()
    this.#vnodes.set(partition, vnode)
    const phase = note.phase === 'sealed' ? 'resealing' : 'copying'
    this.gates.set(partition, { to: note.to, phase, isReturn: note.isReturn })
  }

  #shareParts(): VnodeParts {
    const { database, policyOf } = this.#parts
    const { clock, metrics, log, probe } = this.#runtime
    const { keyWrites, partitions, recordBytes } = this.#options
    const order = new KeyOrder(keyWrites)
    const onFailed = (cause: unknown) => {
      probe.mark('vnode.batch-failed')
      log.error({ cause }, 'the database failed a batch')
      order.dropPending()
      for (const vnode of this.#vnodes.values()) vnode.renew()
    }
    const committer = new Committer({ database, clock, metrics, onFailed }, this.#options)
    return {
      runtime: this.#runtime,
      database,
      reader: this.#reader,
      committer,
      order,
      partitions,
      recordBytes,
      policyOf,
      holdings: new Holdings(),
    }
  }

  #layout(partition: number): VnodeLayout {
    this.assertOpen()
    checkInteger('partition', partition, { min: 0, max: this.#options.partitions - 1 })
    return new VnodeLayout(partition)
  }

  #vnode(partition: number, id?: KeyId): Vnode {
    this.assertOpen()
    checkInteger('partition', partition, { min: 0, max: this.#options.partitions - 1 })
    if (id !== undefined) checkKeyId(id)
    const known = this.#vnodes.get(partition)
    if (known !== undefined) return known
    const vnode = new Vnode(partition, this.#shared)
    if (this.gates.get(partition) !== undefined) vnode.startNoting()
    this.#vnodes.set(partition, vnode)
    return vnode
  }
}
