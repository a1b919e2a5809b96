import type { Timer } from '@atoll/core'
import type { Checkpointer } from './checkpointer.ts'
import type { Compactor } from './compactor.ts'
import type { IndexCompactor } from './index-compactor.ts'
import type { Log } from './log.ts'
import type { ValueLogSettings } from './options.ts'
import type { ValueLogRuntime } from './ports.ts'
import type { Readers } from './readers.ts'
import type { Room } from './room.ts'
import type { Segments } from './segments.ts'

export interface HousekeeperContext {
  readonly runtime: ValueLogRuntime
  readonly settings: ValueLogSettings
  readonly segments: Segments
  readonly readers: Readers
  readonly log: Log
  readonly checkpointer: Checkpointer
  readonly compactor: Compactor
  readonly index: IndexCompactor
  readonly room: Room
}

/** Little was written if it was less than this share of a segment since it was last looked. */
const QUIET_SHARE = 1 / 64
/** A segment is left for this share of one, and for less when it has been quiet for so many looks. */
const LEFT_FOR_SHARE = 1 / 8
const LONG_QUIET_LOOKS = 4
const LEFT_FOR_LESS_SHARE = 1 / 64
/** What is kept for later writes shrinks to this share each time that nothing more was written. */
const RESERVE_DECAY = 1 / 4

/**
 * What a value log does by itself: checkpoints after so much log, and gives back space. Every `idleMs` it looks how much was
 * written. It keeps about as much in free segments, up to `reserveBytes`, for then as much may come again; when little was
 * written it leaves the segment being written if little of it is in use, and has the counts put right that are in doubt.
 */
export class Housekeeper {
  readonly #context: HousekeeperContext
  /** Bytes of log since the last checkpoint. */
  #grownBytes = 0
  /** Bytes of log since the last look. */
  #lookedBytes = 0
  #recentBytes: number
  #quietLooks = 0
  #timer: Timer | undefined
  #isClosing = false
  #work = Promise.resolve()

  constructor(context: HousekeeperContext) {
    this.#context = context
    this.#recentBytes = context.segments.reserveBytes
  }

  /** Lets the parts set each other going. */
  start(): void {
    const { segments, readers, log, compactor } = this.#context
    log.onApplied = (bytes) => this.#grew(bytes)
    readers.onLeave = () => {
      if (segments.waitsForReaders(readers.oldest)) this.#keep(() => segments.release(readers.oldest))
    }
    segments.onRipe = () => compactor.kick()
    compactor.kick()
    this.#lookLater()
  }

  /** Ends it, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#isClosing = true
    this.#timer?.cancel()
    await this.#work
  }

  #grew(bytes: number): void {
    const { room, settings, checkpointer, compactor } = this.#context
    room.wrote(bytes)
    this.#lookedBytes += bytes
    this.#lookLater()
    this.#grownBytes += bytes
    if (this.#grownBytes < settings.checkpointBytes) return
    this.#grownBytes = 0
    this.#keep(async () => {
      await checkpointer.run()
      await compactor.recountNext()
      // It may have stopped for a failure that is over.
      compactor.kick()
    })
  }

  #lookLater(): void {
    if (this.#isClosing) return
    const { runtime, settings } = this.#context
    this.#timer ??= runtime.clock.timer(settings.idleMs, () => this.#keep(() => this.#look()), {
      background: true,
    })
  }

  async #look(): Promise<void> {
    const { segments, readers, log, checkpointer, compactor, index, settings } = this.#context
    const isQuiet = this.#lookedBytes <= settings.segmentBytes * QUIET_SHARE
    this.#quietLooks = isQuiet ? this.#quietLooks + 1 : 0
    this.#recentBytes = Math.max(this.#lookedBytes, Math.floor(this.#recentBytes * RESERVE_DECAY))
    this.#lookedBytes = 0
    this.#timer = undefined
    try {
      segments.reserveBytes = this.#reserveBytes()
      try {
        if (segments.isUnsettled) await checkpointer.run()
      } finally {
        // What is settled already needs no checkpoint, and its room may be what the next one waits for.
        await segments.release(readers.oldest)
      }
      if (isQuiet && this.#isWorthLeaving(this.#quietLooks)) await log.leave()
      compactor.recountDoubtful()
      compactor.kick()
      index.kick()
      this.#measure()
    } finally {
      if (!this.#isAtRest()) this.#lookLater()
    }
  }

  /** Nothing for a trickle of writes, or on a disk that is nearly full. */
  #reserveBytes(): number {
    const { reserveBytes, preallocateBytes, segmentBytes } = this.#context.settings
    if (!this.#context.room.isEnough()) return 0
    const least = Math.min(reserveBytes, preallocateBytes)
    if (this.#recentBytes <= segmentBytes / 8) return least
    return Math.min(reserveBytes, Math.max(least, segmentBytes, this.#recentBytes))
  }

  /** Whether nothing is left to do until somebody writes. */
  #isAtRest(): boolean {
    const { segments, room } = this.#context
    if (!room.isEnough()) return false
    const isGiven = this.#recentBytes === 0 && !segments.hasSurplus && !segments.isUnsettled
    const isCounted = segments.mostDoubtful() === undefined && segments.ripest() === undefined
    return isGiven && isCounted && !this.#isWorthLeaving(LONG_QUIET_LOOKS)
  }

  #isWorthLeaving(quietLooks: number): boolean {
    const { segments, log, settings } = this.#context
    const share = quietLooks < LONG_QUIET_LOOKS ? LEFT_FOR_SHARE : LEFT_FOR_LESS_SHARE
    return segments.isWorthLeaving(log.applied, settings.segmentBytes * share)
  }

  #measure(): void {
    const { runtime, segments, log } = this.#context
    runtime.metrics.gauge('atoll_value_log_live_bytes', segments.totalLive)
    runtime.metrics.gauge('atoll_value_log_dead_bytes', segments.deadBytes(log.applied))
    runtime.metrics.gauge('atoll_value_log_free_bytes', segments.freeBytes(log.applied))
  }

  #keep(work: () => Promise<void>): void {
    if (this.#isClosing) return
    this.#work = this.#work.then(work).catch((error: unknown) => {
      const what = 'the value log could not tidy up; it tries again later'
      if (!this.#isClosing) this.#context.runtime.log.warn({ err: error }, what)
    })
  }
}
