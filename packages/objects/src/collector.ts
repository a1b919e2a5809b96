import { AtollError, type KeyId, wallTimeOf } from '@atoll/core'
import pLimit, { type LimitFunction } from 'p-limit'
import { abortable, throwIfAborted } from './abort.ts'
import { agreedTime } from './agreed-time.ts'
import { type Belief, believed, wasSeenBy } from './future-marks.ts'
import {
  deadUploads,
  dueManifests,
  emptied,
  expire,
  forgetMark,
  forgetRetired,
  forgetUpload,
  type History,
  settle,
  type Version,
} from './history.ts'
import { REMOVED_SCOPE, timeTerm, UPLOADS_SCOPE } from './history-indexes.ts'
import { COLLECT_INDEX, type ObjectType, objectTypesOf } from './kv-types.ts'
import type { Layer } from './layer.ts'
import type { Manifest } from './manifest.ts'
import type { HistoryRead } from './manifest-records.ts'
import { LONGEST_LEASE_MS } from './options.ts'
import type { ClusterClocks, KvStore, KvStoreScan, KvStoreScanEntry } from './ports.ts'
import type { Collected } from './requests.ts'

interface Times {
  readonly nowMs: number
  readonly leewayMs: number
  /** Undefined to believe every mark, where nobody knows what the time is. */
  readonly belief: Belief | undefined
}

export interface CollectRequest {
  /** The caller's word for what the time is. */
  readonly now: number | undefined
  readonly leewayMs: number
  readonly signal: AbortSignal | undefined
  readonly onProgress: (progress: Collected) => void
}

interface Run extends CollectRequest, Times {}

interface Sweep {
  readonly type: ObjectType
  readonly scope: Uint8Array
  /** Where what has such an entry is found: up to a time, or behind one. */
  readonly range: Pick<KvStoreScan, 'from' | 'to'>
  /** Added to as it goes. */
  readonly total: { -readonly [Count in keyof Collected]: Collected[Count] }
}

interface Hidden {
  readonly hidden: History
  /** Uploads that are decided to be dead. */
  readonly dead: readonly Manifest[]
  /** What was read, unless it was written since. */
  readonly read: HistoryRead | undefined
}

const PAGE = 256
/** Records that are gone through at the same time: their writes share the batches of the vnodes, and their syncs. */
const RECORDS_AT_ONCE = 32
const DECIDE_ROUNDS = 8

/**
 * Deletes the blocks of versions that nobody can read any more, and of uploads that died, and then forgets them. Every
 * step may be repeated, and done by two nodes at once: a block is only ever deleted after a manifest record said that
 * nobody may begin to read it, and a version is only forgotten after its blocks are gone. That an upload died is decided
 * by its record at every primary (`ManifestRecords`); the clock only says when it is worth trying. Marks of a clock that
 * was ahead of those of the cluster are put right as they are found (`believed`).
 */
export class Collector {
  readonly #layer: Layer
  readonly #kv: KvStore
  readonly #clocks: ClusterClocks
  /** Blocks take the disk for longer. */
  readonly #limit: LimitFunction

  constructor(layer: Layer, kv: KvStore, clocks: ClusterClocks) {
    this.#layer = layer
    this.#kv = kv
    this.#clocks = clocks
    this.#limit = pLimit(layer.settings.collectConcurrency)
  }

  async collect(asked: CollectRequest): Promise<Collected> {
    const total = { objects: 0, versions: 0, blocks: 0, failed: 0 }
    const request = { ...asked, ...(await this.#times(asked)) }
    const { nowMs, leewayMs, belief } = request
    const ranges = (dueMs: number, futureMs: number | undefined) => [
      ...(dueMs < 0 ? [] : [{ to: timeTerm(dueMs + 1) }]),
      ...(futureMs === undefined ? [] : [{ from: timeTerm(Math.max(dueMs, futureMs) + 1) }]),
    ]
    for (const type of objectTypesOf(this.#kv)) {
      for (const range of ranges(nowMs, belief && belief.untilMs + belief.leaseMs))
        await this.#sweep({ type, scope: UPLOADS_SCOPE, range, total }, request)
      for (const range of ranges(nowMs - leewayMs, belief?.untilMs))
        await this.#sweep({ type, scope: REMOVED_SCOPE, range, total }, request)
    }
    return total
  }

  /** Where no majority of the clocks can be read this node goes by its own, and believes every mark. */
  async #times({ now, leewayMs, signal }: CollectRequest): Promise<Times> {
    const { runtime, settings } = this.#layer
    const { clockSkewMs } = settings
    const agreed = agreedTime(await abortable(signal, this.#clocks.read({ signal })))
    if (agreed === undefined) return { nowMs: now ?? wallTimeOf(runtime.clock), leewayMs, belief: undefined }
    const { earliestMs, latestMs } = agreed
    const ownMs = runtime.clock.wallMs()
    if (ownMs < earliestMs - clockSkewMs || ownMs > latestMs + clockSkewMs) {
      const fields = { ownMs, earliestMs, latestMs }
      runtime.log.warn(fields, 'the wall clock of this node differs from those of most members: set it')
    }
    const belief = { untilMs: latestMs + clockSkewMs, leaseMs: LONGEST_LEASE_MS, seenMs: latestMs }
    return { nowMs: now ?? earliestMs, leewayMs, belief }
  }

  /**
   * Clears every record that has an index entry of that scope in that range: a page is read while the one before is
   * cleared. However it ends, nothing is cleared any more when it is over.
   */
  async #sweep({ type, scope, range, total }: Sweep, request: Run): Promise<void> {
    const { signal, onProgress } = request
    const limit = pLimit(RECORDS_AT_ONCE)
    const scan = { type: type.manifests, index: COLLECT_INDEX, scope, ...range, limit: PAGE }
    let after: Uint8Array | undefined
    let clearing: Promise<unknown> = Promise.resolve()
    const clear = async (entry: KvStoreScanEntry) => {
      throwIfAborted(signal)
      const cleared = await this.#clear(type, entry, request)
      total.objects += cleared.objects
      total.versions += cleared.versions
      total.blocks += cleared.blocks
      total.failed += cleared.failed
      onProgress({ ...total })
    }
    try {
      do {
        const page = await abortable(signal, this.#kv.scan({ ...scan, after }, { signal }))
        const before = clearing
        clearing = Promise.allSettled(page.entries.map((entry) => limit(() => clear(entry))))
        await before
        after = page.next
      } while (after !== undefined)
    } finally {
      await clearing
    }
    throwIfAborted(signal)
  }

  async #clear(type: ObjectType, { bucket, key }: KvStoreScanEntry, request: Run): Promise<Collected> {
    try {
      return await this.#clearRecord(type, { type: type.manifests, bucket, key }, request)
    } catch (error) {
      throwIfAborted(request.signal)
      this.#layer.runtime.log.warn({ err: error }, 'an object is left to the next collection')
      return { objects: 0, versions: 0, blocks: 0, failed: 1 }
    }
  }

  async #clearRecord(type: ObjectType, id: KeyId, request: Run): Promise<Collected> {
    const { manifests, blocks, settings, runtime } = this.#layer
    const { signal } = request
    const beforeMs = request.nowMs - request.leewayMs
    const { hidden, dead, read } = await this.#hide(id, request)
    const due = dueManifests(hidden, beforeMs)
    const doomed = [...new Set([...due, ...dead])]
    await this.#limited(doomed, async ({ uuid, blocks: count }) => {
      throwIfAborted(signal)
      const set = { type: type.blocks, bucket: id.bucket, uuid }
      await blocks.delete(set, count, { concurrency: settings.writeConcurrency, signal })
    })
    const gone = due.map(({ uuid }) => uuid)
    const cleared = doomed.map(({ uuid }) => uuid)
    const change = (history: History) => {
      const isOld = (version: Version) =>
        version.content.modifiedMs <= beforeMs || wasSeenBy(history, version, beforeMs)
      const left = gone.reduce(forgetUpload, forgetRetired(emptied(history, cleared), isOld))
      return forgetMark(left, beforeMs)
    }
    // Deleting blocks takes time: others may have changed the record meanwhile.
    const known = doomed.length === 0 ? read : undefined
    await manifests.rewrite(id, { change, strict: true, known })
    const deleted = doomed.reduce((sum, { blocks: count }) => sum + count, 0)
    runtime.metrics.count('atoll_objects_blocks_collected_total', deleted)
    return { objects: 1, versions: gone.length, blocks: deleted, failed: 0 }
  }

  /** Of objects with blocks `collectConcurrency` at a time; of one object one upload after the other. */
  async #limited<T>(items: readonly T[], remove: (item: T) => Promise<void>): Promise<void> {
    if (items.length === 0) return
    await this.#limit(async () => {
      for (const item of items) await remove(item)
    })
  }

  /**
   * Marks what is out of use, and decides against uploads that look dead. Where replicas differ that takes a second look,
   * which heals them. What goes by the answer was read so: what was only about to be written may have been declined, and
   * then a version that was to be hidden is the one that readers see. And it was written so: what one replica alone has,
   * of a write that failed, is not what the others show their readers.
   */
  async #hide(id: KeyId, run: Run): Promise<Hidden> {
    const { manifests, runtime } = this.#layer
    const { nowMs, leewayMs, belief, signal } = run
    const inTime = (history: History) => (belief === undefined ? history : believed(history, belief))
    const hide = (history: History) => settle(expire(inTime(history), nowMs), nowMs)
    let written: HistoryRead | undefined
    for (let round = 0; round < DECIDE_ROUNDS; round++) {
      const read: HistoryRead = written ?? (await manifests.read(id, { repair: round > 0, signal }))
      written = undefined
      if (inTime(read.history) !== read.history) runtime.metrics.count('atoll_objects_future_marks_total')
      const hidden = hide(read.history)
      const dead = deadUploads(hidden)
      if (dead.length > 0) {
        const isDecided = await manifests.decide(id, { history: hidden, context: read.context })
        if (isDecided) return { hidden, dead, read: undefined }
      } else if (hidden !== read.history)
        written = await manifests.rewrite(id, { change: hide, known: read, strict: true })
      else {
        const hasBlocks = dueManifests(hidden, nowMs - leewayMs).some(({ blocks }) => blocks > 0)
        if (!hasBlocks) return { hidden, dead, read }
        const confirmed = await this.#confirmed(id, hide, signal)
        if (confirmed !== undefined) return { hidden: confirmed, dead, read: undefined }
      }
      await manifests.pause(round)
    }
    const message =
      'others change the object, or not every primary has confirmed that nothing became of an upload'
    throw new AtollError('ATOLL_QUORUM_UNMET', message)
  }

  /**
   * Writes again what there is, if nothing has to be changed in it. It has its turn, or puts of a busy key would
   * decline it.
   */
  #confirmed(
    id: KeyId,
    hide: (history: History) => History,
    signal: AbortSignal | undefined,
  ): Promise<History | undefined> {
    const { manifests } = this.#layer
    return manifests.inTurn(id, async () => {
      const read = await manifests.read(id, { signal })
      if (hide(read.history) !== read.history || deadUploads(read.history).length > 0) return undefined
      const { accepted } = await manifests.write(id, read, { ifUnchanged: 'one' })
      return accepted > 0 ? read.history : undefined
    })
  }
}
