import { AtollError, compareBytes, concatBytes, type Runtime } from '@atoll/core'
import type { Counters } from './counters.ts'
import { type CountStep, type Counts, NO_COUNTS } from './counts.ts'
import { BINARY, reading } from './database.ts'
import { type KeyRange, keyText } from './keys.ts'
import { VnodeLayout } from './layout.ts'
import type { OlderFormats } from './older-formats.ts'
import type { Database } from './ports.ts'
import type { Vnode } from './vnode.ts'

type Adding = Extract<CountStep, { kind: 'add' }>

/**
 * The count of the records of one vnode, while that serves: some keys at a time, each in turn with the writes of its
 * record. What is decided of a key that was passed is added; what is decided of a later one will be seen there.
 */
export class Recount {
  readonly #counts = new Map<string, Counts>()
  /** Names up to this one were passed; undefined before the first. */
  #passed: string | undefined
  /** The last name of the keys that are looked at; undefined while they are being listed. */
  #end: string | undefined
  /** Keys that are still to be looked at, by name; while they are being listed those that are decided on meanwhile. */
  readonly #waiting = new Map<string, Uint8Array>()

  get counts(): ReadonlyMap<string, Counts> {
    return this.#counts
  }

  /** Before the next keys are listed, and before it is waited for what is under way. */
  listing(): void {
    this.#passed = this.#end
    this.#end = undefined
    this.#waiting.clear()
  }

  /** These are the next keys: all behind those that were passed, up to `end`. Answers all that are to be looked at. */
  listed(keys: readonly Uint8Array[], end: string): readonly Uint8Array[] {
    this.#end = end
    for (const name of this.#waiting.keys()) if (name > end) this.#waiting.delete(name)
    for (const key of keys) this.#waiting.set(keyText(key), key)
    return [...this.#waiting.values()]
  }

  /** To be called when a write is decided. */
  saw({ name, key, type, ...delta }: Adding): void {
    if (this.#passed !== undefined && name <= this.#passed) this.#add(type, delta)
    else if (this.#end === undefined) this.#waiting.set(name, key)
    else if (name <= this.#end && !this.#waiting.has(name)) this.#add(type, delta)
  }

  /** To be called in the turn of the key, with what it has; undefined for nothing. */
  looked(name: string, type: string, counts: Counts | undefined): void {
    if (this.#waiting.delete(name) && counts !== undefined) this.#add(type, counts)
  }

  #add(type: string, { records, bytes, tombstones }: Counts): void {
    const before = this.#counts.get(type) ?? NO_COUNTS
    this.#counts.set(type, {
      records: before.records + records,
      bytes: before.bytes + bytes,
      tombstones: before.tombstones + tombstones,
    })
  }
}

export interface RecounterParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly counters: Counters
  /** A partition is counted when its heads are moved from where builds before have put them. */
  readonly older: Pick<OlderFormats, 'isConverting' | 'mayHaveHeads'>
  /** Throws while nothing is served. */
  readonly vnode: (partition: number) => Vnode
}

/** Keys at a time. */
const CHUNK = 128
/** After a chunk nothing is done for as long as it took, and for this long at least: others want the disk as well. */
const LEAST_PAUSE_MS = 5
/** After a failure. */
const RETRY_MS = 5000
/** Behind a whole key: makes the least key that is greater. */
const ZERO = new Uint8Array(1)
/** Sorts behind every name. */
const BEHIND_ALL = '\u{10ffff}'

/** Counts vnodes of which nobody knows what they have, in the background, one after the other. */
export class Recounter {
  readonly #parts: RecounterParts
  /** Undefined while it is not started. */
  #stop: AbortController | undefined
  #running: Promise<void> | undefined

  constructor(parts: RecounterParts) {
    this.#parts = parts
  }

  start(): void {
    this.#stop = new AbortController()
    this.look()
  }

  /** Begins, if there is something to count and it was started. */
  look(): void {
    if (this.#stop === undefined || this.#running !== undefined) return
    if (this.#due().length === 0) return
    this.#running = this.#run(this.#stop.signal).finally(() => {
      this.#running = undefined
      // What is not known since the last look has found somebody who was counting still.
      this.look()
    })
  }

  /** Resolves when everything is counted, or when it was stopped. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async stop(): Promise<void> {
    this.#stop?.abort()
    this.#stop = undefined
    await this.settled()
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { counters, runtime } = this.#parts
    const { log, clock } = runtime
    log.info({ partitions: this.#due().length }, 'records are counted, while the node serves')
    const startMs = clock.monotonicMs()
    let pauseMs = LEAST_PAUSE_MS
    while (this.#due().length > 0) {
      await clock.sleep(pauseMs, { signal }).catch(() => {})
      if (signal.aborted) return
      pauseMs = LEAST_PAUSE_MS
      try {
        for (const partition of this.#due())
          if (counters.unknown.has(partition)) await this.#count(partition, signal)
      } catch (error) {
        if (signal.aborted) return
        log.warn({ err: error }, 'counting records goes on later')
        pauseMs = RETRY_MS
      }
    }
    const tookMs = Math.round(clock.monotonicMs() - startMs)
    log.info({ tookMs }, 'the records are counted')
  }

  #due(): readonly number[] {
    const { counters, older } = this.#parts
    return [...counters.unknown].filter((partition) => !older.isConverting(partition))
  }

  async #count(partition: number, signal: AbortSignal): Promise<void> {
    const { counters, runtime } = this.#parts
    const { clock } = runtime
    const recount = new Recount()
    counters.watch(partition, recount)
    try {
      const stuck = await this.#stuckKeys(partition)
      for (let after: Uint8Array | undefined; ; ) {
        signal.throwIfAborted()
        const startMs = clock.monotonicMs()
        const vnode = this.#parts.vnode(partition)
        recount.listing()
        // What was decided before is on the disk then, or has failed.
        await vnode.idle()
        const keys = await this.#keys(partition, after)
        after = keys.at(-1)
        const end = after === undefined ? BEHIND_ALL : keyText(after)
        for (let [next] = stuck; next !== undefined && keyText(next) <= end; [next] = stuck) {
          keys.push(next)
          stuck.shift()
        }
        // One by one: their values may be large.
        for (const key of recount.listed(keys, end)) await vnode.look(key, recount)
        if (!counters.isWatching(partition, recount)) throw interrupted()
        if (after === undefined) return await vnode.counted(recount.counts)
        await clock.sleep(Math.max(LEAST_PAUSE_MS, clock.monotonicMs() - startMs), { signal })
      }
    } finally {
      counters.unwatch(partition, recount)
    }
  }

  /**
   * Where the records would lie, in order, of which the heads could not be moved from where a build before has put them:
   * those that cannot be read, which are few. None is added any more.
   */
  async #stuckKeys(partition: number): Promise<Uint8Array[]> {
    if (!this.#parts.older.mayHaveHeads(partition)) return []
    const layout = new VnodeLayout(partition)
    const { range } = layout.olderHeads
    const found: Uint8Array[] = []
    for (let last: Uint8Array | undefined; ; ) {
      const keys = await this.#keysIn(range, last)
      last = keys.at(-1)
      if (last === undefined) return found.sort(compareBytes)
      for (const id of keys.flatMap((key) => layout.idsIn(key))) found.push(layout.dataKey(id))
    }
  }

  #keys(partition: number, after: Uint8Array | undefined): Promise<Uint8Array[]> {
    return this.#keysIn(new VnodeLayout(partition).heads.range, after)
  }

  #keysIn(all: KeyRange, after: Uint8Array | undefined): Promise<Uint8Array[]> {
    const range = after === undefined ? all : { gte: concatBytes([after, ZERO]), lt: all.lt }
    return reading(async () => {
      const iterator = this.#parts.database.keys({ ...BINARY, ...range, limit: CHUNK })
      try {
        const keys = await iterator.nextv(CHUNK)
        return keys.map((key) => new Uint8Array(key))
      } finally {
        await iterator.close()
      }
    })
  }
}

function interrupted(): AtollError {
  return new AtollError('ATOLL_OVERLOADED', 'something happened to the partition while it was counted')
}
