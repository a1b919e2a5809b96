import { AtollError, type Digests } from '@atoll/core'
import type { Checkpointer } from './checkpointer.ts'
import { storedBytes } from './checksum.ts'
import type { FilePool } from './file-pool.ts'
import type { Log } from './log.ts'
import { LogReader } from './log-reader.ts'
import type { ValueLogSettings } from './options.ts'
import { decodeStored, isPointer, type Pointer, samePlace } from './pointer.ts'
import { BYTES, type InnerLevel, type ValueLogRuntime } from './ports.ts'
import type { Readers } from './readers.ts'
import { OP_MOVE, type Op, RECORD_SEAL, readOps } from './record.ts'
import { FIRST_RECORD_OFFSET } from './segment-file.ts'
import type { Segment, Segments } from './segments.ts'
import { isDamage, type ValueReader } from './value-reader.ts'

export interface CompactorContext {
  readonly runtime: ValueLogRuntime
  readonly settings: ValueLogSettings
  readonly crc32: Digests['crc32']
  readonly inner: InnerLevel
  readonly pool: FilePool
  readonly segments: Segments
  readonly readers: Readers
  readonly values: ValueReader
  readonly log: Log
  readonly checkpointer: Checkpointer
}

/** A large value in a segment. */
interface Entry {
  /** The key in the inner database. */
  readonly key: Uint8Array
  readonly pointer: Pointer
}

/** How many values are looked up at a time. */
const LOOKUP_ENTRIES = 256
/** How much is read and appended at a time: small, so that writers hardly notice. */
const MOVE_BYTES = 1024 * 1024

/**
 * Empties segments of which little is in use: what their keys still point to is appended to the log again, and then
 * nothing points to the segment. The count of live bytes only says where to look; what is in use is asked of the
 * inner database, value by value. Work that is cut off by a close or a crash is simply begun again: what was
 * moved already is no longer in use.
 */
export class Compactor {
  readonly #context: CompactorContext
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #lastRecounted = -1

  constructor(context: CompactorContext) {
    this.#context = context
  }

  /** Compacts in the background whatever is worth it. */
  kick(): void {
    if (this.#stopping.signal.aborted) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new AtollError('ATOLL_CLOSED', 'the value log is closing'))
    await this.#running
  }

  /** Counts everything anew, and compacts until nothing is worth it. */
  async compactAll(): Promise<void> {
    await this.#context.log.barrier(() => {})
    for (const segment of [...this.#context.segments.all()]) {
      if (segment.state === 'full') await this.#recount(segment)
    }
    this.kick()
    await this.#running
  }

  /** Corrects the count of one segment, each time another one. */
  async recountNext(): Promise<void> {
    const slots = [...this.#context.segments.all()]
      .filter(({ state }) => state === 'full')
      .map(({ slot }) => slot)
    const slot = slots.find((candidate) => candidate > this.#lastRecounted) ?? slots[0]
    const segment = slot === undefined ? undefined : this.#context.segments.get(slot)
    if (segment === undefined) return
    this.#lastRecounted = segment.slot
    await this.#recount(segment)
  }

  async #run(): Promise<void> {
    const { segments, checkpointer, runtime } = this.#context
    try {
      let worked = false
      for (let segment = segments.ripest(); segment !== undefined; segment = segments.ripest()) {
        if (this.#stopping.signal.aborted) return
        worked = true
        await this.#compact(segment)
        await checkpointer.run()
      }
      if (worked) runtime.metrics.gauge('atoll_value_log_live_bytes', segments.totalLive)
    } catch (error) {
      if (!this.#stopping.signal.aborted) runtime.log.warn({ err: error }, 'compaction stopped')
    }
  }

  async #compact(segment: Segment): Promise<void> {
    const { segments, readers, runtime } = this.#context
    if (segment.mayHold) {
      const whole = await this.#visit(segment, async (entries) => {
        for (const piece of pieces(await this.#live(entries))) await this.#move(segment, piece)
      })
      if (!whole) segment.damaged = true
    }
    if (segment.damaged) {
      const { slot } = segment
      runtime.log.error({ slot }, 'a segment holds damaged values and is left as it is')
      return
    }
    segments.empty(segment, readers.next)
    runtime.metrics.count('atoll_value_log_compacted_segments_total')
  }

  async #recount(segment: Segment): Promise<void> {
    let liveBytes = 0
    await this.#visit(segment, async (entries) => {
      for (const { pointer } of await this.#live(entries)) liveBytes += storedBytes(pointer.bytes)
    })
    if (segment.state === 'full') this.#context.segments.setLive(segment, liveBytes)
  }

  /** Calls `take` with the large values of a segment. False if the segment cannot be read to its end. */
  async #visit(segment: Segment, take: (entries: Entry[]) => Promise<void>): Promise<boolean> {
    // Records are met one behind the other from the first on, whoever wrote them.
    const reader = new LogReader({ ...this.#context, origin: undefined }, segment)
    let entries: Entry[] = []
    let sequence = 0
    for (let offset = FIRST_RECORD_OFFSET; ; ) {
      this.#stopping.signal.throwIfAborted()
      const record = await reader.record(offset)
      if (record === undefined || record.header.sequence <= sequence) return false
      if (record.header.kind === RECORD_SEAL) break
      sequence = record.header.sequence
      for (const { key, pointer } of readOps(record.head, record.header, { slot: segment.slot, offset })) {
        if (pointer !== undefined) entries.push({ key, pointer })
      }
      if (entries.length >= LOOKUP_ENTRIES) {
        await take(entries)
        entries = []
      }
      offset = record.end
    }
    if (entries.length > 0) await take(entries)
    return true
  }

  /** Those of the values that their keys point to. */
  async #live(entries: readonly Entry[]): Promise<Entry[]> {
    const found = await this.#context.inner.getMany(
      entries.map(({ key }) => key),
      BYTES,
    )
    return entries.filter(({ pointer }, index) => {
      const value = found[index]
      const stored = value === undefined ? undefined : decodeStored(value)
      return isPointer(stored) && samePlace(stored, pointer)
    })
  }

  async #move(segment: Segment, entries: readonly Entry[]): Promise<void> {
    const { values, log, runtime, settings } = this.#context
    const ops: Op[] = []
    let bytes = 0
    for (const { key, pointer } of entries) {
      try {
        const value = await values.read(key, pointer)
        ops.push({ type: OP_MOVE, key: key.subarray(1), value, from: pointer })
        bytes += value.length
      } catch (error) {
        if (!isDamage(error)) throw error
        segment.damaged = true
      }
    }
    if (ops.length === 0) return
    await log.append(ops, 'applied')
    runtime.metrics.count('atoll_value_log_compacted_bytes_total', bytes)
    const delayMs = (1000 * bytes) / settings.compactBytesPerSecond
    await runtime.clock.sleep(delayMs, { signal: this.#stopping.signal })
  }
}

/** Splits the entries into runs of about `MOVE_BYTES`. */
function* pieces(entries: readonly Entry[]): Generator<Entry[]> {
  let piece: Entry[] = []
  let bytes = 0
  for (const entry of entries) {
    piece.push(entry)
    bytes += entry.pointer.bytes
    if (bytes < MOVE_BYTES) continue
    yield piece
    piece = []
    bytes = 0
  }
  if (piece.length > 0) yield piece
}
