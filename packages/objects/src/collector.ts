import { AtollError, type KeyId } from '@atoll/core'
import pLimit from 'p-limit'
import { abortable, throwIfAborted } from './abort.ts'
import {
  deadUploads,
  dueManifests,
  emptied,
  expire,
  forgetRetired,
  forgetUpload,
  type History,
  settle,
} from './history.ts'
import { REMOVED_SCOPE, timeTerm, UPLOADS_SCOPE } from './history-indexes.ts'
import { COLLECT_INDEX, MANIFESTS_TYPE } from './kv-types.ts'
import type { Layer } from './layer.ts'
import type { Manifest } from './manifest.ts'
import type { KvScanEntry, KvStore } from './ports.ts'
import type { Collected } from './requests.ts'

interface Times {
  readonly nowMs: number
  readonly leewayMs: number
}

export interface CollectRequest extends Times {
  readonly signal: AbortSignal | undefined
  readonly onProgress: (progress: Collected) => void
}

interface Sweep {
  readonly scope: Uint8Array
  readonly untilMs: number
  /** Added to as it goes. */
  readonly total: { versions: number; blocks: number; failed: number }
}

interface Hidden {
  readonly hidden: History
  /** Uploads that are decided to be dead. */
  readonly dead: readonly Manifest[]
}

const PAGE = 256
const DECIDE_ROUNDS = 4

/**
 * Deletes the blocks of versions that nobody can read any more, and of uploads that died, and then forgets them. Every
 * step may be repeated, and done by two nodes at once: a block is only ever deleted after a manifest record said that
 * nobody may begin to read it, and a version is only forgotten after its blocks are gone. That an upload died is decided
 * by its record at every primary (`ManifestRecords`); the clock only says when it is worth trying.
 */
export class Collector {
  readonly #layer: Layer
  readonly #kv: KvStore

  constructor(layer: Layer, kv: KvStore) {
    this.#layer = layer
    this.#kv = kv
  }

  async collect(request: CollectRequest): Promise<Collected> {
    const total = { versions: 0, blocks: 0, failed: 0 }
    const { nowMs, leewayMs } = request
    await this.#sweep({ scope: UPLOADS_SCOPE, untilMs: nowMs, total }, request)
    await this.#sweep({ scope: REMOVED_SCOPE, untilMs: nowMs - leewayMs, total }, request)
    return total
  }

  /** Clears every record that has an index entry of that scope up to that time, a page after the other. */
  async #sweep(
    { scope, untilMs, total }: Sweep,
    { signal, onProgress, ...request }: CollectRequest,
  ): Promise<void> {
    if (untilMs < 0) return
    const limit = pLimit(this.#layer.settings.collectConcurrency)
    const scan = { type: MANIFESTS_TYPE, index: COLLECT_INDEX, scope, to: timeTerm(untilMs + 1), limit: PAGE }
    let after: Uint8Array | undefined
    do {
      const page = await abortable(signal, this.#kv.scan({ ...scan, after }, { signal }))
      const clearing = limit.map(page.entries, async (entry) => {
        throwIfAborted(signal)
        const cleared = await this.#clear(entry, request)
        total.versions += cleared.versions
        total.blocks += cleared.blocks
        total.failed += cleared.failed
        onProgress({ ...total })
      })
      await abortable(signal, clearing)
      after = page.next
    } while (after !== undefined)
  }

  async #clear({ bucket, key }: KvScanEntry, request: Times): Promise<Collected> {
    try {
      return await this.#clearRecord({ type: MANIFESTS_TYPE, bucket, key }, request)
    } catch (error) {
      this.#layer.runtime.log.warn({ err: error }, 'an object is left to the next collection')
      return { versions: 0, blocks: 0, failed: 1 }
    }
  }

  async #clearRecord(id: KeyId, { nowMs, leewayMs }: Times): Promise<Collected> {
    const { manifests, blocks, settings, runtime } = this.#layer
    const beforeMs = nowMs - leewayMs
    const { hidden, dead } = await this.#hide(id, nowMs)
    const due = dueManifests(hidden, beforeMs)
    const doomed = [...new Set([...due, ...dead])]
    for (const { uuid, blocks: count } of doomed)
      await blocks.delete({ bucket: id.bucket, uuid }, count, settings.writeConcurrency)

    const gone = due.map(({ uuid }) => uuid)
    const cleared = doomed.map(({ uuid }) => uuid)
    const change = (history: History) =>
      forgetRetired(gone.reduce(forgetUpload, emptied(history, cleared)), beforeMs)
    await manifests.rewrite(id, { change, strict: true })
    const deleted = doomed.reduce((sum, { blocks: count }) => sum + count, 0)
    runtime.metrics.count('atoll_objects_blocks_collected_total', deleted)
    return { versions: gone.length, blocks: deleted, failed: 0 }
  }
  /**
   * Marks what is out of use, and decides against uploads that look dead. Where replicas differ that takes a second look,
   * which heals them.
   */
  async #hide(id: KeyId, nowMs: number): Promise<Hidden> {
    const { manifests } = this.#layer
    const hide = (history: History) => settle(expire(history, nowMs), nowMs)
    for (let round = 0; round < DECIDE_ROUNDS; round++) {
      const read = await manifests.read(id, { repair: round > 0 })
      const hidden = hide(read.history)
      const dead = deadUploads(hidden)
      if (dead.length === 0) {
        if (hidden !== read.history) await manifests.rewrite(id, { change: hide, known: read, strict: true })
        return { hidden, dead }
      }
      if (await manifests.decide(id, { history: hidden, context: read.context })) return { hidden, dead }
    }
    const message = 'not every primary has confirmed that nothing became of an upload'
    throw new AtollError('ATOLL_QUORUM_UNMET', message)
  }
}
