import {
  AtollError,
  type CompactionProgress,
  type CompactOptions,
  type Digests,
  GiB,
  isAtollError,
  KiB,
  MiB,
} from '@atoll/core'
import type { Checkpointer } from './checkpointer.ts'
import { storedBytes } from './checksum.ts'
import type { FilePool } from './file-pool.ts'
import type { Log } from './log.ts'
import { LogReader } from './log-reader.ts'
import { OP_MOVE, type Op } from './operation.ts'
import type { ValueLogSettings } from './options.ts'
import type { Others } from './others.ts'
import { decodeStored, isPointer, type Pointer, samePlace } from './pointer.ts'
import { BYTES, type Files, type InnerLevel, type ValueLogRuntime } from './ports.ts'
import type { Readers } from './readers.ts'
import { RECORD_SEAL } from './record.ts'
import { readOps } from './record-decoder.ts'
import type { Room } from './room.ts'
import type { Segment } from './segment.ts'
import { FIRST_RECORD_OFFSET } from './segment-file.ts'
import type { Segments } from './segments.ts'
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
  readonly files: Pick<Files, 'freeBytes' | 'label'>
  readonly room: Room
  readonly others: Others
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
const MOVE_BYTES = 256 * KiB
/** How many segments are emptied before a checkpoint says so. */
const SETTLED_TOGETHER = 8
/** How many times as slow it is while others use the disk. */
const BUSY_SLOWNESS = 16
/** How much may be dead, whatever is in use, before others no longer go first. */
const PATIENT_BYTES = GiB
/** A compaction that was asked for, or that a full disk needs, takes segments of which at most this share is in use. */
const FORCED_LIVE_SHARE = 0.9
/** What compaction leaves free on a disk that is nearly full, for what deletes and opens. */
const LEFT_FREE_BYTES = 8 * MiB
/** The pause after `LOOKUP_ENTRIES` lookups of a recount. */
const RECOUNT_PAUSE_MS = 20

/** One after the other, until there is no next. */
interface Run {
  readonly next: () => Segment | undefined
  readonly signal: AbortSignal
  /** Called with how many there were. */
  readonly emptied: (count: number) => void
}

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
  #recounting: Promise<void> | undefined
  #lastRecounted = -1
  #movedBytes = 0
  /** It was said that the disk has too little room to compact. */
  #saidFull = false
  /** The disk had less room than is kept, and has not twice as much since. */
  #isPressed = false
  /** Somebody has asked for it, and waits. */
  #isForced = false

  constructor(context: CompactorContext) {
    this.#context = context
  }

  /** Compacts in the background whatever is worth it. */
  kick(): void {
    if (this.#stopping.signal.aborted) return
    this.#running ??= this.#runQuietly().finally(() => {
      this.#running = undefined
    })
  }

  /** Recounts in the background, and slowly, what may be wrong. */
  recountDoubtful(): void {
    if (this.#stopping.signal.aborted) return
    this.#recounting ??= this.#recountAll().finally(() => {
      this.#recounting = undefined
    })
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new AtollError('ATOLL_CLOSED', 'the value log is closing'))
    await this.#running
    await this.#recounting
  }

  /** Counts everything anew, and compacts whatever gives back a tenth of a segment or more. Throws what stops it. */
  async compactAll({ signal, onProgress = () => {} }: CompactOptions = {}): Promise<void> {
    const { log, segments } = this.#context
    while (this.#running !== undefined) await this.#running
    const ending =
      signal === undefined ? this.#stopping.signal : AbortSignal.any([signal, this.#stopping.signal])
    this.#isForced = true
    const running = this.#compactAll(ending, onProgress)
    this.#running = running
      .catch(() => {})
      .finally(() => {
        this.#isForced = false
        this.#running = undefined
      })
    await running
    await log.barrier(() => {})
    if (segments.ripest() !== undefined) this.kick()
  }

  async #compactAll(signal: AbortSignal, onProgress: (progress: CompactionProgress) => void): Promise<void> {
    const { log, segments } = this.#context
    await log.barrier(() => {})
    if (segments.isInUseAtMost(log.applied, FORCED_LIVE_SHARE)) await log.leave()
    for (const segment of [...segments.all()]) {
      signal.throwIfAborted()
      if (segment.state === 'full') await this.#recount(segment)
    }
    const beforeBytes = this.#movedBytes
    const emptied = (count: number) =>
      onProgress({ segments: count, movedBytes: this.#movedBytes - beforeBytes })
    // Each at most once: what is moved may fill other segments no better.
    const left = segments.emptiest(FORCED_LIVE_SHARE)
    await this.#run({ next: () => left.pop(), signal, emptied })
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

  async #runQuietly(): Promise<void> {
    const { segments, runtime } = this.#context
    const { signal } = this.#stopping
    try {
      await this.#run({ next: () => segments.ripest() ?? this.#pressed(), signal, emptied: () => {} })
    } catch (error) {
      const isSaid = this.#saidFull && isAtollError(error, 'ATOLL_DISK_FULL')
      this.#saidFull = isAtollError(error, 'ATOLL_DISK_FULL')
      if (!signal.aborted && !isSaid) runtime.log.warn({ err: error }, 'compaction stopped')
    }
  }

  /** On a disk that is nearly full, what gives back anything is worth it. */
  #pressed(): Segment | undefined {
    const { room, segments } = this.#context
    this.#isPressed = this.#isPressed ? !room.isAmple() : !room.isEnough()
    return this.#isPressed ? segments.emptiest(FORCED_LIVE_SHARE).at(-1) : undefined
  }

  /** Several segments share a checkpoint: those that hold nothing cost little but that. */
  async #run({ next, signal, emptied }: Run): Promise<void> {
    const { segments, checkpointer, runtime } = this.#context
    let count = 0
    let unsettled = 0
    for (let segment = next(); segment !== undefined; segment = next()) {
      signal.throwIfAborted()
      // On a disk that is nearly full, what was emptied is given back before more is moved.
      const isScarce = await this.#isScarce(segment)
      if (await this.#compact(segment, signal)) {
        count += 1
        unsettled += 1
        emptied(count)
      }
      if (isScarce) segments.reserveBytes = 0
      if (unsettled < (isScarce ? 1 : SETTLED_TOGETHER)) continue
      unsettled = 0
      await checkpointer.run()
    }
    if (unsettled > 0) await checkpointer.run()
    if (count > 0) runtime.metrics.gauge('atoll_value_log_live_bytes', segments.totalLive)
  }

  /**
   * Whether moving what is in use of the segment would use what is kept in reserve. Throws `ATOLL_DISK_FULL` if too little
   * would be left even of that.
   */
  async #isScarce({ liveBytes }: Segment): Promise<boolean> {
    const { files, settings } = this.#context
    const freeBytes = await files.freeBytes()
    const leftBytes = Math.min(LEFT_FREE_BYTES, settings.spareBytes / 4)
    if (liveBytes > 0 && freeBytes < liveBytes + leftBytes) {
      const needed = `moving the values that are in use needs ${liveBytes} bytes, and ${leftBytes} stay free`
      const message = `${files.label} has ${freeBytes} bytes free: ${needed}`
      const details = { reason: 'reserve', freeBytes }
      throw new AtollError('ATOLL_DISK_FULL', message, { definite: true, details })
    }
    return freeBytes < liveBytes + settings.spareBytes
  }

  /** False if it holds damaged values, so that it stays as it is. */
  async #compact(segment: Segment, signal: AbortSignal): Promise<boolean> {
    const { segments, readers, runtime, log } = this.#context
    if (segment.mayHold) {
      const whole = await this.#visit(segment, async (entries) => {
        for (const piece of pieces(await this.#live(entries))) await this.#move(segment, piece, signal)
      })
      if (!whole) segment.damaged = true
    }
    if (segment.damaged) {
      const { slot } = segment
      runtime.log.error({ slot }, 'a segment holds damaged values and is left as it is')
      return false
    }
    // Nothing points to it once what was moved has been applied.
    await log.barrier(() => segments.empty(segment, readers.next))
    runtime.metrics.count('atoll_value_log_compacted_segments_total')
    return true
  }

  async #recountAll(): Promise<void> {
    const { segments, runtime } = this.#context
    const { signal } = this.#stopping
    try {
      for (let segment = segments.mostDoubtful(); segment !== undefined; segment = segments.mostDoubtful()) {
        signal.throwIfAborted()
        const { doubts } = segments
        await this.#recount(segment, RECOUNT_PAUSE_MS)
        // While values go in and out, and small ones are written, no count stays right for long.
        if (segment.countedAt < doubts || segments.doubts > doubts) return
      }
    } catch (error) {
      if (!signal.aborted) runtime.log.warn({ err: error }, 'a segment could not be recounted')
    }
  }

  async #recount(segment: Segment, pauseMs = 0): Promise<void> {
    const { segments, readers, runtime } = this.#context
    const { doubts } = segments
    const { changes } = segment
    // As a reader it keeps the file from being written again, or removed.
    const ticket = readers.enterOwn()
    try {
      if (segment.state !== 'full') return
      let liveBytes = 0
      const whole = await this.#visit(segment, async (entries) => {
        for (const { pointer } of await this.#live(entries)) liveBytes += storedBytes(pointer.bytes)
        if (pauseMs > 0) await runtime.clock.sleep(pauseMs, { signal: this.#stopping.signal })
      })
      if (segment.state !== 'full') return
      // What was overtaken is counted another time.
      if (whole && segment.changes !== changes) return
      if (whole) segments.setLive(segment, liveBytes)
      segment.countedAt = doubts
    } finally {
      readers.leave(ticket)
    }
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

  async #move(segment: Segment, entries: readonly Entry[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { values, log, runtime } = this.#context
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
    await log.append(ops, 'written')
    this.#movedBytes += bytes
    runtime.metrics.count('atoll_value_log_compacted_bytes_total', bytes)
    await this.#pause(bytes, signal)
  }

  /**
   * Whoever uses the disk goes first, unless somebody waits for the room, or so much is dead that it must not become more.
   */
  async #pause(bytes: number, signal: AbortSignal): Promise<void> {
    const { log, others, room, segments, settings, runtime } = this.#context
    const pauseMs = (1000 * bytes) / settings.compactBytesPerSecond
    await runtime.clock.sleep(pauseMs, { signal })
    const isUrgent =
      this.#isForced ||
      !room.isEnough() ||
      segments.deadBytes(log.applied) > segments.totalLive + PATIENT_BYTES
    if (others.areBusy() && !isUrgent) await runtime.clock.sleep((BUSY_SLOWNESS - 1) * pauseMs, { signal })
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
